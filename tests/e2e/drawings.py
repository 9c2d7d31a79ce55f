"""Single shapes, drawn with nothing of the room that drew the training scenes."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {
    "red": (220, 30, 30),
    "green": (0, 140, 40),
    "blue": (30, 60, 220),
    "yellow": (250, 220, 0),
    "orange": (255, 140, 0),
    "purple": (128, 0, 128),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
SHAPES = ("circle", "square", "triangle", "star")
COLOUR_QUESTIONS = (
    "What colour is the {shape}?",
    "what color is the {shape}",
    "Which colour does the {shape} have?",
    "Tell me the colour of the {shape}, please.",
)
SHAPE_QUESTIONS = (
    "Which shape is {colour}?",
    "What shape is this?",
    "Which shape do you see?",
    "What is the shape in the picture?",
)


@dataclass(frozen=True)
class Drawing:
    path: Path
    colour: str
    shape: str


def draw(seed: int, folder: Path) -> Drawing:
    """One shape on a plain ground, 200 to 1000 pixels a side, saved as PNG or JPEG."""
    pick = random.Random(seed)
    colour, shape = pick.choice(sorted(COLOURS)), pick.choice(SHAPES)
    light = colour == "black" or (colour != "white" and pick.random() < 0.5)
    ground = tuple(pick.randint(225, 255) if light else pick.randint(0, 45) for _ in range(3))
    width, height = pick.randint(200, 1000), pick.randint(200, 1000)
    image = Image.new("RGB", (width, height), ground)
    radius = min(width, height) * pick.uniform(0.18, 0.4)
    x, y = pick.uniform(radius, width - radius), pick.uniform(radius, height - radius)
    ink = tuple(max(0, min(255, c + pick.randint(-15, 15))) for c in COLOURS[colour])
    canvas = ImageDraw.Draw(image)
    turn = pick.uniform(0, math.tau)
    corners = {"square": 4, "triangle": 3, "star": 10}.get(shape, 0)
    points = []
    for corner in range(corners):
        reach = radius * (0.42 if shape == "star" and corner % 2 else 1)
        angle = turn + math.tau * corner / corners
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    if points:
        canvas.polygon(points, fill=ink)
    else:
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    path = folder / f"drawing-{seed}.{'png' if pick.random() < 0.5 else 'jpg'}"
    image.save(path, quality=88)
    return Drawing(path, colour, shape)


def says(answer: str, wanted: str) -> bool:
    """The right word, and none of its rivals."""
    words = set(answer.lower().replace(".", " ").replace(",", " ").split())
    rivals = set(COLOURS) if wanted in COLOURS else set(SHAPES)
    return wanted in words and not words & (rivals - {wanted})
