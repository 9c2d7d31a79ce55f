"""Dialog to choose the detail in which the model looks at a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textual.content import Content

from assistant.values.text import one_line
from assistant.values.words import counted
from tui.pages.dialog import ChoiceDialog

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.values.conversation import Picture, PictureFile


@dataclass(frozen=True, slots=True)
class DetailChoices:
    """The details that a model offers for a picture, and the positions that each takes.

    ``details`` begin with None, automatic; ``part`` is the noun for what they count.
    """

    part: str
    details: tuple[int | None, ...]
    tokens: tuple[int, ...]


def detail_choices(engine: Engine, picture: Picture | PictureFile) -> DetailChoices | None:
    """Return the choices, None where the model has none. Raises PhichatError, ValueError."""
    offered = engine.pictures.form
    if not offered.details:
        return None
    details = (None, *reversed(offered.details))
    tokens = [engine.pictures.tokens(replace(picture, num_crops=detail)) for detail in details]
    return DetailChoices(offered.part, details, tuple(tokens))


@dataclass(frozen=True, slots=True)
class DetailChosen:
    """The detail at most; None leaves it to the engine."""

    detail: int | None


class DetailScreen(ChoiceDialog[DetailChosen | None]):
    """Dialog that returns the choice, or None when it was left as it is."""

    def __init__(self, picture: Picture | PictureFile, choices: DetailChoices) -> None:
        part, self._details = choices.part, choices.details
        question = Content.assemble(
            f"In how many {part}s shall the model look at {one_line(picture.name, 40)}?\n",
            ("More show smaller print and take more tokens.", "$phi-quiet"),
        )
        rows = [_row(part, *row) for row in zip(self._details, choices.tokens, strict=True)]
        stored = picture.num_crops if picture.num_crops in self._details else None
        marked = self._details.index(stored)
        super().__init__(f"{part.capitalize()}s", rows, question=question, marked=marked)

    def result(self, place: int) -> DetailChosen | None:
        return DetailChosen(self._details[place])


def _row(part: str, detail: int | None, tokens: int) -> Content:
    name = "automatic" if detail is None else f"at most {counted(detail, part)}"
    return Content.assemble(
        (f"{name:<20}", "bold"), (f"{counted(tokens, 'token'):>13}", "$phi-quiet")
    )
