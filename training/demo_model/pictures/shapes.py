"""Pictures of one to six filled shapes, and dense pages of them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from training.demo_model import drawing as shape_drawing
from training.demo_model.pictures.drawing import Drawing, Mark, circle_points, degrade
from training.demo_model.scenes import (
    COLOURS,
    KINDS,
    Scene,
    Shape,
    apart,
    place,
    sample_ground,
    sample_page,
    sample_size,
)


def _points(shape: Shape) -> tuple[tuple[float, float], ...]:
    if shape.kind != "circle":
        return shape.points
    (cx, cy), (rim, _) = shape.points
    return circle_points(cx, cy, rim - cx)


def _middle(shape: Shape) -> tuple[float, float]:
    left, top, right, bottom = shape.box
    return (left + right) / 2, (top + bottom) / 2


def finish(rng: Random, scene: Scene, strength: float = 1) -> Drawing:
    """Draw a scene; its shapes are listed from left to right, with middles and sizes."""
    shapes = sorted(scene.shapes, key=_middle)
    long = max(scene.width, scene.height)
    rows = []
    for shape in shapes:
        x, y = _middle(shape)
        left, top, right, bottom = shape.box
        size = max(right - left, bottom - top)
        rows.append([shape.colour, shape.kind, *(round(v / long, 3) for v in (x, y, size))])
    facts = {"family": "shapes", "ground": scene.ground, "shapes": rows}
    marks = tuple(Mark(_points(shape), shape.kind, shape.colour) for shape in shapes)
    drawn = Drawing(shape_drawing.draw(replace(scene, shapes=tuple(shapes))), facts, marks)
    return degrade(rng, drawn, scene.ground_rgb, strength)


def sample(rng: Random, count: int, *, strength: float = 1) -> Drawing:
    """Draw ``count`` shapes that do not touch; some are alike, some are much larger."""
    size = sample_size(rng)
    short, long = sorted(size)
    scene = Scene(*size, *sample_ground(rng), (), smooth=rng.random() < 0.7)
    shapes: list[Shape] = []
    favourite = (rng.choice(COLOURS), rng.choice(KINDS))
    repeat = rng.choice((0.0, 0.0, 0.35, 0.8)) if count > 1 else 0.0
    room = 0.85 if count == 1 else (0.5, 0.42, 0.36, 0.32, 0.3)[count - 2]
    if count > 1 and long / short > 1.6:
        room = min(0.85, room * 1.6)
    for _ in range(600):
        if len(shapes) == count:
            break
        colour, kind = rng.choice(COLOURS), rng.choice(KINDS)
        if rng.random() < repeat:
            kind = favourite[1]
        if rng.random() < repeat:
            colour = favourite[0]
        wide = rng.uniform(0.55, 1) * room if rng.random() < 0.5 else rng.uniform(0.12, 0.55 * room)
        shape = place(rng, kind, colour, scene, max(wide * short, 0.07 * long, 22))
        if shape is not None and all(apart(shape, other, 0.03 * short) for other in shapes):
            shapes.append(shape)
    return finish(rng, replace(scene, shapes=tuple(shapes)), strength)


def page(rng: Random) -> Drawing:
    """Draw a dense page of shapes."""
    return finish(rng, sample_page(rng))
