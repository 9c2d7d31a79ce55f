"""Drawing of scenes: pictures, their training size, and the label of each patch."""

from __future__ import annotations

import io
import math
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from training.demo_model.scenes import COLOURS, KINDS, RGB, Scene, Shape, sample_colour


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
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=scene.jpeg_quality)
        image = Image.open(packed).convert("RGB")
    return image


def downsample(image: Image.Image, side: int = 336) -> npt.NDArray[np.uint8]:
    """Pad a picture as the processor does at one crop, and average 2 x 2: the size in training.

    The first half is the reference's HD transform at ``num_crops`` 1 (bilinear
    resize of the longer side to 336, white padding on both sides of the shorter
    one); the second makes the patch convolution of the shipped model, whose
    weights are the trained ones repeated 2 x 2 and divided by four, compute the
    same numbers on the full picture. Returns uint8 ``[side / 2, side / 2, 3]``.
    """
    long, short = max(image.size), min(image.size)
    shorter = int(side / (long / short))
    width, height = (side, shorter) if image.width == long else (shorter, side)
    resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    padded = Image.new("RGB", (side, side), (255, 255, 255))
    padded.paste(resized, ((side - width) // 2, (side - height) // 2))
    return np.asarray(padded.reduce(2))


def patch_labels(scene: Scene, grid: int = 8, side: int = 336) -> npt.NDArray[np.int8]:
    """Label each patch with the shape in it: int8 ``[grid, grid, 2]`` of (kind, colour).

    Classes count from 1 in the order of `KINDS` and `COLOURS`; 0 is a patch of which
    no shape covers a tenth. A shape that covers a tenth of no patch labels the patch
    with most of it.
    """
    scale = side / max(scene.width, scene.height)
    left, top = (side - scene.width * scale) / 2, (side - scene.height * scale) / 2
    mask = Image.new("L", (side // 2, side // 2), 0)
    canvas = ImageDraw.Draw(mask)
    for number, shape in enumerate(scene.shapes, 1):
        _draw_shape(canvas, shape, (-left / scale, -top / scale), scale / 2, number)
    step = side // 2 // grid
    cells = np.asarray(mask).reshape(grid, step, grid, step)
    # areas[n]: pixels of shape n in each patch; row 0 is the least area that makes a label
    numbers = range(1, len(scene.shapes) + 1)
    areas = [np.full((grid, grid), math.ceil(0.1 * step * step) - 0.5)]
    areas += [(cells == number).sum((1, 3)) for number in numbers]
    owner = np.stack(areas).argmax(0)
    for number in numbers:
        if areas[number].max() > 0 and not (owner == number).any():
            owner.flat[areas[number].argmax()] = number
    classes = [(KINDS.index(s.kind) + 1, COLOURS.index(s.colour) + 1) for s in scene.shapes]
    table = np.array([(0, 0), *classes], dtype=np.int8)
    labels: npt.NDArray[np.int8] = table[owner]
    return labels
