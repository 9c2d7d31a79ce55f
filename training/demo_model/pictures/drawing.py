"""A drawn picture: its pixels, the facts that replies are made from, and what each place shows."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from assistant.phi3v.crops import CROP, plan_hd
from assistant.phi3v.image_processing import Phi3VImageProcessor
from training.demo_model.scenes import COLOURS, KINDS

Points = tuple[tuple[float, float], ...]
GLYPHS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,-:!?%'&"
WHAT = ("", *KINDS, "bar", *GLYPHS)
"""Classes of a cell of a picture: nothing, a shape, a bar of a chart, a printed character."""
LAST_PLACE = 11
"""The place in a word counts from 1 up to this number; 0 is no character."""
CELLS = 48
"""Cells of a side of a crop that have a label."""
_STEP = 3
"""Dots of a side of a cell where marks are drawn to find the one that covers most of it."""
_PROCESSOR = Phi3VImageProcessor(image_mean=(0, 0, 0), image_std=(1, 1, 1))


@dataclass(frozen=True, slots=True)
class Mark:
    """A region of a picture: its corners in pixels, what it shows, and its place in a word."""

    points: Points
    what: str
    colour: str = ""
    place: int = 0


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture with its facts (JSON) and marks."""

    image: Image.Image
    facts: dict[str, Any]
    marks: tuple[Mark, ...] = field(default=())


def circle_points(cx: float, cy: float, radius: float) -> Points:
    """List the corners of a polygon that stands for a circle."""
    turns = (2 * math.pi * i / 24 for i in range(24))
    return tuple((cx + radius * math.cos(t), cy + radius * math.sin(t)) for t in turns)


def box_points(left: float, top: float, right: float, bottom: float) -> Points:
    """List the corners of a box."""
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def tilt(drawing: Drawing, degrees: float, ground: tuple[int, ...]) -> Drawing:
    """Turn a picture about its middle; it grows so that nothing is cut off."""
    image = drawing.image.rotate(degrees, Image.Resampling.BICUBIC, True, fillcolor=ground)
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    (w, h), (W, H) = drawing.image.size, image.size

    def turned(x: float, y: float) -> tuple[float, float]:
        x, y = x - w / 2, y - h / 2
        return x * cos + y * sin + W / 2, y * cos - x * sin + H / 2

    marks = tuple(
        replace(mark, points=tuple(turned(*point) for point in mark.points))
        for mark in drawing.marks
    )
    return Drawing(image, drawing.facts, marks)


def compress(image: Image.Image, quality: int) -> Image.Image:
    """Store a picture as JPEG and read it again."""
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    return Image.open(packed).convert("RGB")


def add_noise(image: Image.Image, seed: int, deviation: float) -> Image.Image:
    """Add Gaussian noise to each channel."""
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32) * deviation
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def degrade(rng: Random, drawing: Drawing, ground: tuple[int, ...], strength: float = 1) -> Drawing:
    """Treat a third of the pictures as cameras and files do: tilt, blur, noise, JPEG artefacts."""
    if rng.random() < 0.2 * strength:
        drawing = tilt(drawing, rng.uniform(-10, 10), ground)
    image = drawing.image
    if rng.random() < 0.12 * strength:
        radius = rng.uniform(0.2, 0.9) * max(image.size) / CROP
        image = image.filter(ImageFilter.GaussianBlur(min(radius, 3)))
    if rng.random() < 0.15 * strength:
        image = add_noise(image, rng.randrange(1 << 30), rng.uniform(2, 16))
    if rng.random() < 0.3:
        image = compress(image, rng.randint(35, 95))
    return replace(drawing, image=image)


def crops(drawing: Drawing, num_crops: int) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
    """Cut a picture as the product does: uint8 [crops, 336, 336, 3], grid (rows, columns).

    The overview comes first; at one crop it is the crop, and only one is given.
    """
    if num_crops == 1:
        return _only_crop(drawing.image)[None], (1, 1)
    tensor, (height, width) = _PROCESSOR.crops(drawing.image, num_crops)
    rows, columns = height // CROP, width // CROP
    cut = (tensor[1:] if rows * columns == 1 else tensor).permute(0, 2, 3, 1)
    return (cut * 255).round().clamp(0, 255).byte().numpy(), (rows, columns)


def _only_crop(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Cut the one crop as the product does, eight times faster: uint8 [336, 336, 3]."""
    plan = plan_hd(*image.size, 1)
    width, height = plan.resized[::-1] if plan.transposed else plan.resized
    resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    padded = Image.new("RGB", (CROP, CROP), (255, 255, 255))
    padded.paste(resized, ((CROP - width) // 2, (CROP - height) // 2))
    return np.asarray(padded)


def labels(drawing: Drawing, num_crops: int) -> npt.NDArray[np.int8]:
    """Label the cells of each crop of `crops`: int8 [crops, 48, 48, 3] of (what, colour, place)."""
    width, height = drawing.image.size
    plan = plan_hd(width, height, num_crops)
    scale = plan.resized[0] / max(width, height)
    left, top = (plan.top, 0) if plan.transposed else (0, plan.top)
    rows, columns = plan.grid.rows, plan.grid.columns
    marks = [
        replace(m, points=tuple((x * scale + left, y * scale + top) for x, y in m.points))
        for m in drawing.marks
    ]
    tiles = _label_grid(marks, rows, columns, 1, 1)
    tiles = (
        tiles.reshape(rows, CELLS, columns, CELLS, 3).swapaxes(1, 2).reshape(-1, CELLS, CELLS, 3)
    )
    if rows * columns == 1:
        return tiles
    overview = _label_grid(marks, 1, 1, 1 / columns, 1 / rows)
    return np.concatenate((overview[None], tiles))


def _label_grid(
    marks: list[Mark], rows: int, columns: int, across: float, down: float
) -> npt.NDArray[np.int8]:
    """Label each cell with the mark that covers most of it, and at least a seventh."""
    R, C = rows * CELLS, columns * CELLS
    mask = Image.new("I", (C * _STEP, R * _STEP), 0)
    canvas, scale = ImageDraw.Draw(mask), CELLS * _STEP / CROP
    for number, mark in enumerate(marks, 1):
        canvas.polygon([(x * across * scale, y * down * scale) for x, y in mark.points], number)
    cell = (np.arange(R * _STEP) // _STEP)[:, None] * C + np.arange(C * _STEP) // _STEP
    area = np.bincount(
        (cell * (len(marks) + 1) + np.asarray(mask)).ravel(), minlength=R * C * (len(marks) + 1)
    ).reshape(R * C, -1)
    area[:, 0] = _STEP * _STEP // 7
    table = np.zeros((len(marks) + 1, 3), np.int8)
    for number, mark in enumerate(marks, 1):
        colour = COLOURS.index(mark.colour) + 1 if mark.colour else 0
        table[number] = WHAT.index(mark.what), colour, min(mark.place, LAST_PLACE)
    grid: npt.NDArray[np.int8] = table[area.argmax(1)].reshape(R, C, 3)
    return grid
