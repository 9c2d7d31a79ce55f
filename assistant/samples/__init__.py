"""Sample pictures of our own making, each with a question (``docs/draw_samples.py`` draws them)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture to try phichat with; of `SAMPLES` the demo model understands the first."""

    title: str
    path: Path
    question: str


SAMPLES = (
    Sample("a shape", FOLDER / "scene.png", "What do you see?"),
    Sample("a chart", FOLDER / "chart.png", "On which day was the most coffee drunk?"),
    Sample("a page", FOLDER / "page.png", "When is the water turned off?"),
    Sample("a landscape", FOLDER / "photo.jpg", "Describe this picture."),
)
