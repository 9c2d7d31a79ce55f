"""Drawings of the sample pictures in assistant/samples: a scene, a chart, a page and a landscape.

python -m docs.draw_samples
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from assistant.samples import FOLDER

SMOOTH = 3
"""Pixels that are drawn for each pixel of a picture, in each direction."""
INK, PAPER = (38, 42, 54), (250, 248, 242)


class Canvas:
    """A drawing of ``width`` x ``height`` that is smoothed when it is done."""

    def __init__(self, width: int, height: int, ground: tuple[int, int, int]) -> None:
        self._image = Image.new("RGB", (width * SMOOTH, height * SMOOTH), ground)
        self._draw = ImageDraw.Draw(self._image)

    def shape(self, points: list[tuple[float, float]], fill: tuple[int, int, int]) -> None:
        """Fill a polygon."""
        self._draw.polygon([(x * SMOOTH, y * SMOOTH) for x, y in points], fill=fill)

    def line(self, ends: tuple[float, float, float, float], fill: tuple[int, int, int]) -> None:
        """Draw a straight line, one pixel wide."""
        self._draw.line([one * SMOOTH for one in ends], fill=fill, width=SMOOTH)

    def text(self, at: tuple[float, float], words: str, size: float, anchor: str = "lm") -> None:
        """Write words in Pillow's own font, so that no machine needs another."""
        font = ImageFont.load_default(size * SMOOTH)
        self._draw.text((at[0] * SMOOTH, at[1] * SMOOTH), words, INK, font, anchor)

    def done(self) -> Image.Image:
        """Return the picture in its own size and 32 colours."""
        return self._image.reduce(SMOOTH).quantize(32, dither=Image.Dither.NONE)


def scene() -> Image.Image:
    """Draw one star on a plain ground: within what the demo model knows."""
    canvas = Canvas(480, 320, (24, 30, 52))
    star = [
        (240 + r * math.sin(math.pi * n / 5), 168 - r * math.cos(math.pi * n / 5))
        for n, r in enumerate([120, 50] * 5)
    ]
    canvas.shape(star, (255, 214, 10))
    return canvas.done()


CUPS = {"Mon": 3, "Tue": 5, "Wed": 2, "Thu": 7, "Fri": 6, "Sat": 1, "Sun": 4}


def chart() -> Image.Image:
    """Draw a bar chart with a title, two axes and seven bars."""
    canvas = Canvas(640, 420, (255, 255, 255))
    canvas.text((60, 34), "Cups of coffee, last week", 22)
    for cups in range(0, 9, 2):
        y = 360 - cups * 36
        canvas.line((60, y, 610, y), (150, 150, 150) if cups == 0 else (226, 226, 226))
        canvas.text((48, y), str(cups), 16, "rm")
    for number, (day, cups) in enumerate(CUPS.items()):
        left, top = 82 + number * 76, 360 - cups * 36
        colour = (214, 96, 77) if cups == max(CUPS.values()) else (92, 132, 176)
        canvas.shape([(left, top), (left + 48, top), (left + 48, 359), (left, 359)], colour)
        canvas.text((left + 24, 382), day, 16, "mm")
    return canvas.done()


NOTE = (
    "Dear neighbours,",
    "",
    "the water will be turned off",
    "on Thursday, 14 May, from 9 to 12 o'clock,",
    "because the pipes on the third floor",
    "are being mended. Please fill a kettle",
    "before then.",
    "",
    "With thanks, and sorry for the trouble,",
    "Ada Lindqvist, caretaker",
)


def page() -> Image.Image:
    """Write a notice of ten lines."""
    canvas = Canvas(600, 640, PAPER)
    canvas.text((60, 84), "NOTICE", 40)
    canvas.line((60, 118, 540, 118), INK)
    for number, words in enumerate(NOTE):
        canvas.text((60, 166 + number * 43), words, 23)
    return canvas.done()


Plane = npt.NDArray[np.float64]


def photo() -> Image.Image:
    """Draw an evening at a lake: sky, sun, mountains, a boat, their reflection and grain."""
    width, height, shore = 720, 480, 290
    x, y = np.meshgrid(np.arange(width), np.arange(height), indexing="xy")
    noise = np.random.default_rng(7)
    # 1) The sky, with a sun and its glow.
    up = np.clip(y / shore, 0, 1)[..., None]
    sky = (1 - up) * (54, 70, 122) + up * (250, 176, 112)
    away = np.hypot(x - 470, (y - 232) * 1.05)[..., None]
    sky = sky + np.exp(-away / 90) * (60, 62, 30)
    sky = np.where(away < 24, (255, 236, 190), sky)
    # 2) Three mountain ranges, the nearest darkest.
    ranges = ((120, 60, (150, 118, 142)), (70, 38, (98, 84, 120)), (30, 22, (48, 50, 78)))
    for number, (rise, rough, colour) in enumerate(ranges):
        ridge = sum(
            np.sin(x * f + 7 * number * f + 2 * number) * rough / n
            for n, f in enumerate((0.011, 0.027, 0.061, 0.13), 1)
        )
        sky = np.where((y > shore - rise - ridge * 0.6)[..., None], colour, sky)
    # 3) A boat with two sails.
    image = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    boat = ImageDraw.Draw(image)
    boat.polygon([(212, 286), (300, 286), (286, 302), (226, 302)], fill=(64, 36, 34))
    boat.line([(252, 180), (252, 286)], fill=(40, 28, 30), width=3)
    boat.polygon([(256, 184), (256, 278), (304, 278)], fill=(236, 226, 206))
    boat.polygon([(248, 196), (248, 278), (214, 278)], fill=(206, 70, 52))
    # 4) The lake mirrors all that, from waves that grow towards the viewer.
    scene = np.asarray(image).astype(float)
    depth = np.clip(y - 300, 0, None)
    mirror = np.clip(599 - y + 3 * np.sin(depth * 0.9 + np.sin(x * 0.02)), 0, height - 1)
    aside = np.clip(x + depth * 0.05 * np.sin(depth * 0.55), 0, width - 1)
    lake = scene[mirror.astype(int), aside.astype(int)] * 0.72 + np.array((8, 14, 30))
    scene = np.where((y >= 300)[..., None], lake, scene)
    # 5) Corners are darker, and there is grain.
    dark = 1 - 0.3 * (((x - 360) / 360) ** 2 + ((y - 240) / 240) ** 2)[..., None] / 2
    scene = scene * dark + noise.normal(0, 3, (height, width, 1))
    return Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))


DRAWN: dict[str, Callable[[], Image.Image]] = {
    "scene.png": scene,
    "chart.png": chart,
    "page.png": page,
    "photo.jpg": photo,
}


def main(folder: Path = FOLDER) -> None:
    """Write the four files."""
    for name, draw in DRAWN.items():
        draw().save(folder / name, optimize=True, quality=82)


if __name__ == "__main__":
    main()
