"""Pictures of bar charts: three to five labelled bars, mostly with a title."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

from training.demo_model.pictures.drawing import Drawing, Mark, box_points, degrade
from training.demo_model.pictures.prints import load_font, print_text, sample_word
from training.demo_model.scenes import COLOURS, RGB, sample_colour, sample_ground

_SERIES = (
    "Mon Tue Wed Thu Fri Sat Sun", "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", "Q1 Q2 Q3 Q4",
    "A B C D E F", "2019 2020 2021 2022 2023 2024", "North East South West", "tea milk beer wine",
    "cat dog cow pig fish", "red blue green pink", "Anna Ben Cleo Dan Eve", "one two three four",
    "x y z w", "apple pear plum fig", "Rome Oslo Bern Kyiv Lima",
)  # fmt: skip
_TITLES = (
    "Sales", "Sales in 2024", "Rain", "Visitors", "Cups a day", "Votes", "Score", "Users", "Points",
    "Income", "Books read", "Orders", "Hours", "Profit", "Weight", "Temperature", "Speed", "Budget",
)  # fmt: skip


def _labels(rng: Random, count: int) -> list[str]:
    series = rng.choice(_SERIES).split()
    if rng.random() < 0.45 or len(series) < count:
        words = {sample_word(rng)[:5] for _ in range(count + 4)}
        return sorted(words, key=lambda _: rng.random())[:count]
    start = rng.randint(0, len(series) - count)
    return series[start : start + count]


def _values(rng: Random, count: int) -> list[int]:
    """Sample values of which the largest and the smallest stand out by 8 % of the largest."""
    top = rng.choice((10, 20, 50, 100, 100, 500))
    while True:
        values = [rng.randint(max(1, top // 10), top) for _ in range(count)]
        ordered = sorted(values)
        gap = max(1, 0.08 * ordered[-1])
        if ordered[-1] - ordered[-2] >= gap and ordered[1] - ordered[0] >= gap:
            return values


def sample(rng: Random, *, strength: float = 1, held_out: bool = False) -> Drawing:
    """Draw a bar chart; the values stand on the bars, or are read from the axis."""
    count = rng.randint(3, 5)
    names, values = _labels(rng, count), _values(rng, count)
    title = ""
    if rng.random() < 0.85:
        title = rng.choice(_TITLES) if rng.random() < 0.5 else sample_word(rng, held_out=held_out)
    width = rng.randint(320, 900)
    height = round(width * rng.uniform(0.6, 1.0))
    ground, paper = sample_ground(rng)
    image = Image.new("RGB", (width, height), paper)
    canvas = ImageDraw.Draw(image)
    ink: RGB = (20, 20, 20) if ground == "light" else (235, 235, 235)
    size = width * rng.uniform(0.045, 0.06)
    font_seed = rng.randrange(1 << 30)
    font = load_font(Random(font_seed), round(size), held_out=held_out)
    head = load_font(Random(font_seed), round(size * rng.uniform(1, 1.35)), held_out=held_out)
    left, right = width * rng.uniform(0.1, 0.14), width * rng.uniform(0.94, 0.98)
    top, bottom = (2.6 if title else 1.6) * size, height - 1.9 * size
    marks: list[Mark] = []

    def centre(text: str, x: float, y: float, typeface: object = None) -> None:
        chosen = head if typeface is head else font
        at = (min(max(2.0, x - chosen.getlength(text) / 2), width - chosen.getlength(text) - 2), y)
        marks.extend(print_text(canvas, at, text, chosen, ink))

    # 1) axis, grid and title
    printed, grid = rng.random() < 0.7, rng.random() < 0.4
    reach = max(values) * rng.uniform(1.02, 1.25)
    step = 10 ** math.floor(math.log10(reach / 2))
    step = next(s * step for s in (1, 2, 5, 10) if reach / (s * step) <= 5)
    for tick in range(0, math.floor(reach) + 1, max(1, int(step))):
        y = bottom - (bottom - top) * tick / reach
        if grid:
            canvas.line((left, y, right, y), fill=(128, 128, 128))
        if not printed or rng.random() < 0.8:
            text = str(tick)
            at = (left - font.getlength(text) - 0.2 * size, y - 0.6 * size)
            marks += print_text(canvas, at, text, font, ink)
    canvas.line((left, top, left, bottom), fill=ink, width=max(1, width // 300))
    canvas.line((left, bottom, right, bottom), fill=ink, width=max(1, width // 300))
    if title:
        centre(title, (left + right) / 2, 0.3 * size, head)
    # 2) bars with their labels, and perhaps their values
    one, shades = rng.choice(COLOURS), []
    slot, share = (right - left) / count, rng.uniform(0.5, 0.85)
    same = rng.random() < 0.6
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        colour = one if same else rng.choice(COLOURS)
        rgb = sample_colour(rng, colour)
        while math.dist(rgb, paper) < 85:
            colour = one = rng.choice(COLOURS)
            rgb = sample_colour(rng, colour)
        shades.append(colour)
        x, y = left + slot * (number + 0.5), bottom - (bottom - top) * value / reach
        box = (x - slot * share / 2, y, x + slot * share / 2, bottom - 1)
        canvas.rectangle(box, fill=rgb)
        marks.append(Mark(box_points(*box), "bar", colour))
        centre(name, x, bottom + 0.25 * size)
        if printed:
            centre(str(value), x, y - 1.25 * size)
    facts = {
        "family": "chart", "title": title, "names": names, "values": values,
        "printed": printed, "colours": shades, "ground": ground,
    }  # fmt: skip
    return degrade(rng, Drawing(image, facts, tuple(marks)), paper, strength * 0.6)
