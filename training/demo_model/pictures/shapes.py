"""Pictures of one to six filled shapes, and dense pages of them."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

from training.demo_model.pictures.drawing import Drawing, Mark, circle_points, degrade
from training.demo_model.scene_drawing import draw as draw_scene
from training.demo_model.scenes import (
    COLOURS,
    KINDS,
    NAMED,
    RGB,
    Scene,
    Shape,
    apart,
    is_visible,
    place,
    sample_ground,
    sample_page,
    sample_size,
    star_points,
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
    drawn = Drawing(draw_scene(replace(scene, shapes=tuple(shapes))), facts, marks)
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


SIZES = (
    (200, 200), (400, 400), (500, 500), (600, 600), (1000, 1000), (300, 200), (400, 300),
    (600, 400), (640, 480), (800, 600), (1024, 768), (1000, 500), (1280, 720), (1200, 800),
)  # fmt: skip
"""Sizes of pictures that people write down."""
_UNIT = {
    "square": ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)),
    "triangle": ((0.0, -1.0), (1.0, 1.0), (-1.0, 1.0)),
    "star": star_points(5, 0.4),
}
"""Corners of upright shapes, always the same ones, in a box from -1 to 1."""


def regular(rng: Random, count: int, *, small: bool = False, strength: float = 0.3) -> Drawing:
    """Draw ``count`` upright shapes in rows and columns, with round coordinates.

    So draws who writes coordinates down. Edges then coincide with those of the tower's patches,
    which they hardly ever do in `sample`. ``small`` shapes are a twentieth of the picture or so.
    """
    size = rng.choice(SIZES if not small else SIZES[-4:])
    width, height = size if rng.random() < 0.75 else size[::-1]
    ground, ground_rgb = ("light", (255, 255, 255)) if rng.random() < 0.6 else sample_ground(rng)
    scene = Scene(width, height, ground, ground_rgb, (), smooth=rng.random() < 0.4)
    # 1) as many cells as shapes, or a few more
    columns = rng.choice((count, count, 1, math.ceil(count / 2), 3))
    rows = max(math.ceil(count / columns), rng.choice((1, 1, 2)))
    cells = sorted(rng.sample(range(columns * rows), count))
    room = min(width / columns, height / rows)
    share = (0.08, 0.2) if small else (0.35, 0.9)
    radius = max(rng.uniform(*share) * room / 2, (0.02 if small else 0.035) * max(size), 11)
    # 2) one shape in the middle of each cell; often they are of one kind, colour or size
    alike = (rng.random() < 0.35, rng.random() < 0.35, rng.random() < 0.7)
    favourite = (rng.choice(KINDS), rng.choice(COLOURS))
    shapes = []
    for cell in cells:
        row, column = divmod(cell, columns)
        x, y = (column + 0.5) * width / columns, (row + 0.5) * height / rows
        kind = favourite[0] if alike[0] else rng.choice(KINDS)
        colour, rgb = _visible_colour(rng, favourite[1] if alike[1] else "", scene)
        half = radius if alike[2] else radius * rng.uniform(0.5, 1)
        shapes.append(_upright(kind, colour, rgb, (_round(x), _round(y)), max(_round(half), 10)))
    return finish(rng, replace(scene, shapes=tuple(shapes)), strength)


def _round(value: float) -> int:
    return round(value / 5) * 5


def _visible_colour(rng: Random, wanted: str, scene: Scene) -> tuple[str, RGB]:
    colour = wanted or rng.choice(COLOURS)
    while not is_visible(colour, NAMED[colour][0], scene):
        colour = rng.choice(COLOURS)
    return colour, NAMED[colour][0]


def _upright(kind: str, colour: str, rgb: RGB, middle: tuple[int, int], half: int) -> Shape:
    x, y = middle
    if kind == "circle":
        return Shape(kind, colour, rgb, ((x, y), (x + half, y)))
    points = tuple((x + half * dx, y + half * dy) for dx, dy in _UNIT[kind])
    return Shape(kind, colour, rgb, points)


def page(rng: Random) -> Drawing:
    """Draw a dense page of shapes."""
    return finish(rng, sample_page(rng))
