"""Writes the table of docs/models.md about small shapes: the whole picture against its part.

python -m docs.region_table
"""

from __future__ import annotations

import io
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from assistant.pictures import decode
from assistant.values.conversation import Draft, PictureFile
from assistant.values.events import ReplyEnded
from assistant.values.region import Box

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

PAGE = Path(__file__).parent / "models.md"
BEGIN = "<!-- written by python -m docs.region_table -->"
END = "<!-- end of what is written about parts -->"

COUNT = 200
WIDTH, HEIGHT = 3000, 2000
SIDE = 60
"""Pixels of a shape."""
PART = 240
"""Pixels of a side of the part, which a user frames by eye: the shape is somewhere in it."""
QUESTIONS = {"colour": "What colour is it?", "shape": "Which shape is it?"}

_COLOURS = {
    "red": (220, 30, 30),
    "orange": (255, 140, 0),
    "yellow": (255, 220, 30),
    "green": (34, 139, 34),
    "blue": (30, 90, 220),
    "purple": (128, 0, 128),
}
_GROUNDS = ((235, 235, 235), (250, 244, 230), (40, 40, 48), (24, 32, 40))
_CORNERS = {"circle": 48, "square": 4, "triangle": 3, "star": 10}


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn picture with one shape, the right answers, and a part with the shape in it."""

    file: PictureFile
    answers: dict[str, str]
    part: Box


def scenes(count: int = COUNT) -> Iterator[Scene]:
    """Draw pictures, the same ones each time."""
    random = Random(13)
    for number in range(count):
        colour, shape = random.choice(list(_COLOURS)), random.choice(list(_CORNERS))
        x, y = random.randint(150, WIDTH - 150), random.randint(150, HEIGHT - 150)
        image = Image.new("RGB", (WIDTH, HEIGHT), random.choice(_GROUNDS))
        points = _points(shape, x, y, random.uniform(0, 0.5))
        ImageDraw.Draw(image).polygon(points, fill=_COLOURS[colour])
        data = io.BytesIO()
        image.save(data, "PNG", compress_level=1)
        aside = PART - 2 * SIDE
        left, top = (place - SIDE - random.randint(0, aside) for place in (x, y))
        file = decode.open_bytes(data.getvalue(), name=f"{number}.png")
        answers = {"colour": colour, "shape": shape}
        yield Scene(file, answers, (max(0, left), max(0, top), PART, PART))


def _points(shape: str, x: int, y: int, turn: float) -> list[tuple[float, float]]:
    corners = _CORNERS[shape]
    found = []
    for corner in range(corners):
        radius = SIDE / 2 * (0.45 if shape == "star" and corner % 2 else 1)
        angle = turn + 2 * math.pi * corner / corners
        found.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return found


def right_answers(engine: Engine) -> dict[str, dict[str, int]]:
    """Count the right answers about the whole pictures and about their parts."""
    counts = {way: dict.fromkeys(QUESTIONS, 0) for way in ("whole", "part")}
    for scene in scenes():
        part = decode.cut(scene.file, scene.file.data, scene.part)
        for way, file in (("whole", scene.file), ("part", part)):
            for about, question in QUESTIONS.items():
                said = _answer(engine, question, file).lower()
                counts[way][about] += scene.answers[about] in said
    return counts


def _answer(engine: Engine, question: str, file: PictureFile) -> str:
    events = list(engine.send(None, Draft(question, (file,))))
    end = events[-1]
    assert isinstance(end, ReplyEnded)
    return end.turn.text


def table(counts: dict[str, dict[str, int]]) -> str:
    """Write the table, in Markdown."""
    rows = [
        f"| {QUESTIONS[about]} | {counts['whole'][about]} | {counts['part'][about]} |"
        for about in QUESTIONS
    ]
    about_what = f"one shape of {SIDE} pixels in {WIDTH:,} x {HEIGHT:,}"
    return "\n".join(
        [
            f"Right answers of the demo model, of {COUNT}, about {about_what}:",
            "",
            f"| | the whole picture | a part of {PART} x {PART} |",
            "|---|---|---|",
            *rows,
        ]
    )


def main() -> None:
    """Ask the demo model, and write the table into the page."""
    from assistant.engine.open import open_engine
    from assistant.settings.load import load

    with tempfile.TemporaryDirectory() as home:
        os.environ["PHICHAT_HOME"] = home
        engine = open_engine(load({"model": "demo", "temperature": 0.0}))
        try:
            written = table(right_answers(engine))
        finally:
            engine.close()
    page = PAGE.read_text("utf-8")
    start, rest = page.split(BEGIN)
    PAGE.write_text(f"{start}{BEGIN}\n\n{written}\n\n{END}{rest.split(END)[1]}", "utf-8")
    print(written)


if __name__ == "__main__":
    main()
