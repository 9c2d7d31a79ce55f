"""Pictures of printed text: a word, a number, lines, and dense pages of words."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw, ImageFont

from training.demo_model.pictures import sources
from training.demo_model.pictures.drawing import GLYPHS, Drawing, Mark, box_points, degrade
from training.demo_model.scenes import COLOURS, RGB, sample_colour, sample_ground, sample_size
from training.demo_model.small_talk import invent_word

UNREADABLE = 7.5
"""Pixels of a line's height, in a picture of 336 pixels, below which no one could read it."""
SIZES, PLAIN_SIZES = (15, 60), (22, 44)
"""Pixels of the fonts of pages."""


def load_font(rng: Random, size: int, *, held_out: bool = False) -> ImageFont.FreeTypeFont:
    """Load a font of the families to train with, or of those held out."""
    path = rng.choice(sources.fonts(held_out=held_out))
    return ImageFont.truetype(path, max(4, size), layout_engine=ImageFont.Layout.BASIC)


def sample_word(rng: Random, *, held_out: bool = False) -> str:
    """Sample a word: English, invented, or letters without sense; in any case."""
    style = rng.random()
    if style < 0.55:
        word = rng.choice(sources.words(held_out=held_out))
    elif style < 0.8:
        word = invent_word(rng)[:10]
    else:
        word = "".join(rng.choice(GLYPHS[26:52]) for _ in range(rng.randint(2, 8)))
    case = rng.random()
    return word.lower() if case < 0.4 else word.capitalize() if case < 0.7 else word.upper()


def sample_number(rng: Random, digits: int = 0) -> str:
    """Sample a number of 2 to 6 digits."""
    digits = digits or rng.randint(2, 6)
    return str(rng.randint(10 ** (digits - 1), 10**digits - 1))


def sample_ink(rng: Random, ground: str, paper: RGB) -> tuple[str, RGB]:
    """Sample (name of the colour or empty, its RGB) that can be read on the paper."""
    if rng.random() < 0.5:
        shade = rng.randint(0, 60)
        return "", (shade,) * 3 if ground == "light" else (255 - shade,) * 3
    for _ in range(20):
        name = rng.choice(COLOURS)
        rgb = sample_colour(rng, name)
        if math.dist(rgb, paper) > 150:
            return name, rgb
    return "", (0, 0, 0) if ground == "light" else (255, 255, 255)


def print_text(
    canvas: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont,
    rgb: RGB,
    colour: str = "",
) -> list[Mark]:
    """Print one line with its top left corner at ``at``; mark every character."""
    canvas.text(at, text, fill=rgb, font=font)
    _, top, _, bottom = font.getbbox(text)
    marks, position = [], 0
    for number, character in enumerate(text):
        position = 0 if character == " " else position + 1
        if character not in GLYPHS:
            continue
        left, right = font.getlength(text[:number]), font.getlength(text[: number + 1])
        box = box_points(at[0] + left, at[1] + top, at[0] + right, at[1] + bottom)
        marks.append(Mark(box, character, colour, position))
    return marks


def sample_lines(rng: Random, *, held_out: bool = False) -> list[str]:
    """Sample what a sign says: a word, a number, a line of two to four words, or two lines."""
    style = rng.random()
    if style < 0.4:
        return [sample_word(rng, held_out=held_out)]
    if style < 0.65:
        return [sample_number(rng)]

    def line(count: int) -> str:
        words = [sample_word(rng, held_out=held_out)[:7] for _ in range(count)]
        if rng.random() < 0.2:
            words[-1] = sample_number(rng, rng.randint(1, 4))
        return " ".join(words if rng.random() < 0.3 else map(str.lower, words))

    if style < 0.92:
        return [line(rng.randint(2, 4))]
    return [line(rng.randint(1, 3)), line(rng.randint(1, 3))]


def sign(
    rng: Random,
    *,
    sizes: tuple[float, float] = (0.06, 0.3),
    strength: float = 1,
    held_out: bool = False,
) -> Drawing:
    """Print a sign. ``sizes`` are the font's, as shares of the picture's longer side."""
    lines = sample_lines(rng, held_out=held_out)
    width, height = sample_size(rng)
    long = max(width, height)
    ground, paper = sample_ground(rng)
    colour, ink = sample_ink(rng, ground, paper)
    size = long * math.exp(rng.uniform(*map(math.log, sizes)))
    seed = rng.randrange(1 << 30)
    font = load_font(Random(seed), round(size), held_out=held_out)
    widest = max(font.getlength(line) for line in lines)
    fit = min(1, 0.94 * width / widest, 0.9 * height / (len(lines) * 1.3 * size))
    if fit < 1:
        size *= fit
        font = load_font(Random(seed), math.floor(size), held_out=held_out)
    image = Image.new("RGB", (width, height), paper)
    canvas = ImageDraw.Draw(image)
    spacing = rng.uniform(1.15, 1.5) * size
    widest = max(font.getlength(line) for line in lines)
    x = rng.uniform(0.02 * width, max(0.03 * width, 0.97 * width - widest))
    y = rng.uniform(0, max(1.0, height - spacing * len(lines)))
    centred = rng.random() < 0.5
    marks = []
    for number, line in enumerate(lines):
        shift = (widest - font.getlength(line)) / 2 if centred else 0
        marks += print_text(canvas, (x + shift, y + number * spacing), line, font, ink, colour)
    facts = {
        "family": "print", "lines": lines, "ground": ground, "ink": colour,
        "size": round(size / long, 4), "font": str(font.getname()[0]),
    }  # fmt: skip
    return degrade(rng, Drawing(image, facts, tuple(marks)), paper, strength)


def page(rng: Random, *, side: int = 336, plain: bool = False) -> Drawing:
    """Print a dense page of words and numbers in several fonts.

    A ``plain`` one is dark on white, neither small nor large, and not treated: a
    model learns there first which character is which.
    """
    ground, paper = ("light", (255, 255, 255)) if plain else sample_ground(rng)
    sizes = PLAIN_SIZES if plain else SIZES
    image = Image.new("RGB", (side, side), paper)
    canvas = ImageDraw.Draw(image)
    marks: list[Mark] = []
    y = rng.uniform(0, 8)
    while y < side - sizes[0]:
        size = round(math.exp(rng.uniform(*map(math.log, sizes))))
        font = load_font(rng, size)
        x = rng.uniform(0, 16)
        while x < side - size:
            text = sample_word(rng) if rng.random() < 0.75 else sample_number(rng)
            shade = rng.randint(0, 50)
            colour, ink = ("", (shade,) * 3) if plain else sample_ink(rng, ground, paper)
            if x + font.getlength(text) < side:
                marks += print_text(canvas, (x, y), text, font, ink, colour)
            x += font.getlength(text) + size * rng.uniform(0.3, 1.0)
        y += size * rng.uniform(1.05, 1.4)
    drawing = Drawing(image, {"family": "page", "ground": ground}, tuple(marks))
    return drawing if plain else degrade(rng, drawing, paper)


def unreadable_page(rng: Random) -> Drawing:
    """Print a page of text that is too small to read at 336 pixels."""
    width, height = rng.choice(((900, 1200), (1200, 900), (700, 1000), (1000, 1000)))
    ground, paper = sample_ground(rng)
    image = Image.new("RGB", (width, height), paper)
    canvas = ImageDraw.Draw(image)
    _, ink = sample_ink(rng, ground, paper)
    size = round(rng.uniform(0.5, 0.85) * UNREADABLE * max(width, height) / 336)
    font = load_font(rng, size)
    margin, y = rng.uniform(0.03, 0.12) * width, rng.uniform(0.03, 0.1) * height
    while y < height * 0.95:
        line = " ".join(sample_word(rng).lower() for _ in range(rng.randint(4, 24)))
        while line and margin + font.getlength(line) > width - margin:
            line = line[:-5]
        canvas.text((margin, y), line, fill=ink, font=font)
        y += size * rng.choice((1.25, 1.25, 1.25, 2.2))
    return Drawing(image, {"family": "unreadable", "ground": ground})
