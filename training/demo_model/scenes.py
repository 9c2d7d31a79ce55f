"""Scenes: synthetic pictures as data, filled shapes on a plain light or dark ground.

A scene is sampled as plain data and then drawn (`scene_drawing.draw`): a
function of a seeded `random.Random`, so a seed names a picture. Everything that
the shipped model must not depend on is varied: the RGB of a named colour, the
geometry of a triangle or a star, size, angle, place, outline, antialiasing, JPEG
artefacts, size and aspect of the picture.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace
from random import Random

RGB = tuple[int, int, int]
Points = tuple[tuple[float, float], ...]

KINDS = ("circle", "square", "triangle", "star")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")
GROUNDS = ("light", "dark")

# fmt: off
NAMED: dict[str, tuple[RGB, ...]] = {
    "red": (
        (255, 0, 0), (220, 20, 60), (200, 30, 30), (178, 34, 34), (231, 76, 60),
        (139, 0, 0), (205, 60, 60),
    ),
    "orange": (
        (255, 165, 0), (255, 140, 0), (230, 126, 34), (243, 156, 18), (255, 128, 0),
        (245, 130, 48),
    ),
    "yellow": (
        (255, 255, 0), (241, 196, 15), (255, 215, 0), (255, 225, 25), (240, 220, 60),
        (250, 240, 80),
    ),
    "green": (
        (0, 128, 0), (0, 255, 0), (46, 204, 113), (34, 139, 34), (50, 205, 50),
        (60, 180, 75), (0, 100, 0),
    ),
    "blue": (
        (0, 0, 255), (52, 152, 219), (30, 144, 255), (65, 105, 225), (0, 0, 139),
        (0, 130, 200), (70, 130, 180),
    ),
    "purple": (
        (128, 0, 128), (155, 89, 182), (148, 0, 211), (75, 0, 130), (145, 30, 180),
        (138, 43, 226),
    ),
    "black": ((0, 0, 0), (20, 20, 20), (34, 34, 34)),
    "white": ((255, 255, 255), (245, 245, 245), (250, 250, 250)),
}
# fmt: on
"""Colours that other programs mean by these names: CSS, common palettes."""

_HSV: dict[str, tuple[float, float, float, float, float, float]] = {
    # hue range in degrees, saturation range, value range
    "red": (-10, 8, 0.58, 1.0, 0.52, 1.0),
    "orange": (20, 40, 0.62, 1.0, 0.78, 1.0),
    "yellow": (47, 63, 0.48, 1.0, 0.72, 1.0),
    "green": (84, 160, 0.38, 1.0, 0.30, 1.0),
    "blue": (196, 244, 0.45, 1.0, 0.42, 1.0),
    "purple": (264, 303, 0.40, 1.0, 0.38, 0.85),
    "black": (0, 360, 0.0, 0.5, 0.0, 0.13),
    "white": (0, 360, 0.0, 0.04, 0.93, 1.0),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One filled shape; ``points`` are picture pixels (a circle has centre and rim)."""

    kind: str
    colour: str
    rgb: RGB
    points: Points
    outline: RGB | None = None
    outline_width: int = 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels."""
        if self.kind == "circle":
            (cx, cy), (rx, _) = self.points
            radius = rx - cx
            return cx - radius, cy - radius, cx + radius, cy + radius
        xs, ys = zip(*self.points, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture as data."""

    width: int
    height: int
    ground: str
    ground_rgb: RGB
    shapes: tuple[Shape, ...]
    smooth: bool = True
    jpeg_quality: int | None = None
    clutter_seed: int | None = None


def sample_colour(rng: Random, name: str) -> RGB:
    """Sample an RGB called ``name``: a listed one, perhaps jittered, or one of its HSV range."""
    if rng.random() < 0.5:
        r, g, b = rng.choice(NAMED[name])
        if rng.random() < 0.5:
            r, g, b = (min(255, max(0, v + rng.randint(-8, 8))) for v in (r, g, b))
        return r, g, b
    h0, h1, s0, s1, v0, v1 = _HSV[name]
    rgb = colorsys.hsv_to_rgb(
        (rng.uniform(h0, h1) / 360) % 1, rng.uniform(s0, s1), rng.uniform(v0, v1)
    )
    return round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)


def sample_ground(rng: Random) -> tuple[str, RGB]:
    """Sample ("light" or "dark", its RGB): pure, grey or mildly tinted."""
    name = rng.choice(GROUNDS)
    style = rng.random()
    if style < 0.3:
        return name, (255, 255, 255) if name == "light" else (0, 0, 0)
    if name == "light":
        base, spread = rng.randint(205, 250), 28
    else:
        base, spread = rng.randint(5, 58), 22
    if style < 0.55:
        return name, (base, base, base)
    r, g, b = (min(255, max(0, base + rng.randint(-spread, spread))) for _ in range(3))
    return name, (r, g, b)


def is_visible(colour: str, rgb: RGB, scene: Scene) -> bool:
    if (colour, scene.ground) in (("white", "light"), ("black", "dark")):
        return False
    return math.dist(rgb, scene.ground_rgb) >= 85


def star_points(tips: int, inner: float) -> Points:
    """List the corners of an upright star: tips on the unit circle, notches at ``inner``."""
    radii = [1.0, inner] * tips
    turns = [i * math.pi / tips for i in range(2 * tips)]
    return tuple((r * math.sin(t), -r * math.cos(t)) for r, t in zip(radii, turns, strict=True))


def _unit_points(rng: Random, kind: str) -> Points:
    """Sample the corners of a shape within the unit circle, not rotated."""
    if kind == "square":
        return tuple(
            (math.cos(math.pi / 4 + i * math.pi / 2), math.sin(math.pi / 4 + i * math.pi / 2))
            for i in range(4)
        )
    if kind == "star":
        tips = 5 if rng.random() < 0.92 else rng.choice((4, 6))
        inner = (
            rng.choice((0.382, 0.4, 0.45, 0.5)) if rng.random() < 0.5 else rng.uniform(0.3, 0.58)
        )
        if tips == 4:
            inner = min(inner, 0.45)
        return star_points(tips, inner)
    form = rng.random()
    if form < 0.4:  # equilateral
        return tuple(
            (math.sin(i * 2 * math.pi / 3), -math.cos(i * 2 * math.pi / 3)) for i in range(3)
        )
    if form < 0.7:  # isosceles in a box
        width, height = rng.uniform(0.7, 1.0), rng.uniform(0.6, 1.0)
        return (0.0, -height), (width, height), (-width, height)
    if form < 0.9:  # right-angled
        width, height = rng.uniform(0.55, 0.9), rng.uniform(0.55, 0.9)
        corners = ((-width, -height), (-width, height), (width, height))
        flip = rng.choice((-1, 1))
        return tuple((flip * x, y) for x, y in corners)
    a = rng.uniform(0, 2 * math.pi)  # any, with no angle below 30 degrees
    first, second = rng.uniform(1.2, 2.4), rng.uniform(1.2, 2.4)
    return tuple((math.cos(t), math.sin(t)) for t in (a, a + first, a + first + second))


def place(rng: Random, kind: str, colour: str, scene: Scene, size: float) -> Shape | None:
    """Place a shape of ``size`` pixels inside the picture; None if its colour can't be seen."""
    for _ in range(6):
        rgb = sample_colour(rng, colour)
        if is_visible(colour, rgb, scene):
            break
    else:
        return None
    outline, outline_width = None, 0
    if rng.random() < 0.15:
        outline = rng.choice(((0, 0, 0), (60, 60, 60), (255, 255, 255), (128, 128, 128)))
        outline_width = max(1, round(size * rng.uniform(0.01, 0.04)))
    if kind == "circle":
        radius = size / 2
        cx, cy = (
            rng.uniform(radius, scene.width - radius),
            rng.uniform(radius, scene.height - radius),
        )
        return Shape(kind, colour, rgb, ((cx, cy), (cx + radius, cy)), outline, outline_width)
    points = _unit_points(rng, kind)
    turn = rng.random()
    if turn < 0.35:
        angle = 0.0
    elif turn < 0.6:
        angle = rng.uniform(-0.35, 0.35)
    else:
        angle = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    rotated = [(x * cos - y * sin, x * sin + y * cos) for x, y in points]
    xs, ys = [p[0] for p in rotated], [p[1] for p in rotated]
    scale = size / max(max(xs) - min(xs), max(ys) - min(ys))
    w, h = (max(xs) - min(xs)) * scale, (max(ys) - min(ys)) * scale
    left, top = (
        rng.uniform(0, max(0.0, scene.width - w)),
        rng.uniform(0, max(0.0, scene.height - h)),
    )
    placed = tuple(((x - min(xs)) * scale + left, (y - min(ys)) * scale + top) for x, y in rotated)
    return Shape(kind, colour, rgb, placed, outline, outline_width)


def sample_size(rng: Random) -> tuple[int, int]:
    """Sample width and height, 200 to 1000 pixels; about half of them nearly square."""
    style = rng.random()
    side = rng.randint(200, 1000) if rng.random() < 0.25 else rng.randint(200, 560)
    if style < 0.3:
        return side, side
    ratio = rng.uniform(1.0, 1.6) if style < 0.8 else rng.uniform(1.6, 5.0)
    long = min(1000, max(200, round(side * ratio)))
    short = max(200, round(long / ratio))
    return (long, short) if rng.random() < 0.5 else (short, long)


def apart(a: Shape, b: Shape, gap: float) -> bool:
    al, at, ar, ab = a.box
    bl, bt, br, bb = b.box
    return ar + gap < bl or br + gap < al or ab + gap < bt or bb + gap < at


def sample_empty(rng: Random) -> Scene:
    """Sample a scene without shapes, most of them with clutter: noise, lines or a gradient."""
    scene = Scene(*sample_size(rng), *sample_ground(rng), ())
    quality = rng.randint(60, 95) if rng.random() < 0.35 else None
    clutter = rng.randrange(1 << 30) if rng.random() < 0.7 else None
    return replace(scene, jpeg_quality=quality, clutter_seed=clutter)


def sample_page(rng: Random) -> Scene:
    """Sample a dense page, about fourteen shapes, for the training of the tower."""
    scene = Scene(336, 336, *sample_ground(rng), ())
    shapes: list[Shape] = []
    biggest = rng.choice((60, 80, 110, 150))
    for _ in range(70):
        kind, colour = rng.choice(KINDS), rng.choice(COLOURS)
        shape = place(rng, kind, colour, scene, rng.uniform(24, biggest))
        if shape is not None and all(apart(shape, other, 3) for other in shapes):
            shapes.append(shape)
    quality = rng.randint(60, 95) if rng.random() < 0.3 else None
    smooth = rng.random() < 0.7
    return replace(scene, shapes=tuple(shapes), smooth=smooth, jpeg_quality=quality)
