"""Drawing of scenes."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from training.demo_model.pictures.drawing import compress
from training.demo_model.scenes import COLOURS, RGB, Scene, Shape, sample_colour


def _draw_clutter(image: Image.Image, rng: Random) -> None:
    """Draw noise, lines or a gradient: nothing that is one of the shapes."""
    kind = rng.randrange(3)
    width, height = image.size
    if kind == 0:
        noise = np.random.default_rng(rng.randrange(1 << 30)).integers(
            0, 256, (rng.randint(4, 40), rng.randint(4, 40), 3)
        )
        image.paste(
            Image.fromarray(noise.astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
        )
    elif kind == 1:
        draw = ImageDraw.Draw(image)
        for _ in range(rng.randint(3, 25)):
            ends = [(rng.uniform(0, width), rng.uniform(0, height)) for _ in range(2)]
            draw.line(ends, fill=sample_colour(rng, rng.choice(COLOURS)), width=rng.randint(1, 6))
    else:
        corners = np.array(
            [sample_colour(rng, rng.choice(COLOURS)) for _ in range(4)], dtype=np.uint8
        ).reshape(2, 2, 3)
        image.paste(Image.fromarray(corners).resize(image.size, Image.Resampling.BILINEAR))


def _draw_shape(
    draw: ImageDraw.ImageDraw,
    shape: Shape,
    offset: tuple[float, float],
    scale: float,
    rgb: RGB | int,
) -> None:
    moved = [((x - offset[0]) * scale, (y - offset[1]) * scale) for x, y in shape.points]
    if shape.kind == "circle":
        (cx, cy), (rim, _) = moved
        radius = rim - cx
        draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=rgb)
    else:
        draw.polygon(moved, fill=rgb)


def _shrink(shape: Shape, by: float) -> Shape:
    """Shrink a shape by ``by`` pixels towards its centre: the fill inside an outline."""
    if shape.kind == "circle":
        (cx, cy), (rim, _) = shape.points
        return Shape(shape.kind, shape.colour, shape.rgb, ((cx, cy), (rim - by, cy)))
    cx = sum(x for x, _ in shape.points) / len(shape.points)
    cy = sum(y for _, y in shape.points) / len(shape.points)
    left, top, right, bottom = shape.box
    ratio = max(0.5, 1 - 2.6 * by / max(right - left, bottom - top))
    points = tuple((cx + (x - cx) * ratio, cy + (y - cy) * ratio) for x, y in shape.points)
    return Shape(shape.kind, shape.colour, shape.rgb, points)


def draw(scene: Scene) -> Image.Image:
    """Draw a scene as an RGB picture of ``scene.width`` x ``scene.height``."""
    image = Image.new("RGB", (scene.width, scene.height), scene.ground_rgb)
    if scene.clutter_seed is not None:
        _draw_clutter(image, Random(scene.clutter_seed))
    canvas = ImageDraw.Draw(image)
    for shape in scene.shapes:
        layers: list[tuple[Shape, RGB]] = [(shape, shape.rgb)]
        if shape.outline is not None:
            layers = [(shape, shape.outline), (_shrink(shape, shape.outline_width), shape.rgb)]
        for layer, rgb in layers:
            if not scene.smooth:
                _draw_shape(canvas, layer, (0.0, 0.0), 1, rgb)
                continue
            left, top, right, bottom = layer.box
            x0, y0 = math.floor(left), math.floor(top)
            size = (math.ceil(right) - x0 + 1, math.ceil(bottom) - y0 + 1)
            factor = 3 if max(size) < 300 else 2
            mask = Image.new("L", (size[0] * factor, size[1] * factor), 0)
            _draw_shape(ImageDraw.Draw(mask), layer, (x0, y0), factor, 255)
            image.paste(rgb, (x0, y0), mask.reduce(factor))
    if scene.jpeg_quality is not None:
        image = compress(image, scene.jpeg_quality)
    return image
