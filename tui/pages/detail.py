"""Dialog: the detail in which the model looks at a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.values.text import one_line
from assistant.values.words import counted
from tui.keys import CHOICE_KEYS
from tui.pages.guarded import Dialog

if TYPE_CHECKING:
    from assistant.engine import Engine
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
    """The choices for a picture, None where the model has none. Raises PhichatError, ValueError."""
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


class DetailScreen(Dialog[DetailChosen | None]):
    """Returns the choice, or None when it was left as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in CHOICE_KEYS if key.action]

    def __init__(self, picture: Picture | PictureFile, choices: DetailChoices) -> None:
        super().__init__()
        self._picture, self._choices = picture, choices

    def compose(self) -> ComposeResult:
        part, details = self._choices.part, self._choices.details
        name = one_line(self._picture.name, 40)
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = f"{part.capitalize()}s"
            dialog.border_subtitle = "enter chooses · esc leaves it"
            yield Static(
                Content.assemble(
                    f"In how many {part}s shall the model look at {name}?\n",
                    ("More show smaller print and take more tokens.", "$phi-quiet"),
                ),
                classes="question",
            )
            rows = zip(details, self._choices.tokens, strict=True)
            options = OptionList(*[Option(_row(part, *row)) for row in rows])
            stored = self._picture.num_crops
            options.highlighted = details.index(stored if stored in details else None)
            yield options

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(DetailChosen(self._choices.details[event.option_index]))


def _row(part: str, detail: int | None, tokens: int) -> Content:
    name = "automatic" if detail is None else f"at most {counted(detail, part)}"
    return Content.assemble(
        (f"{name:<20}", "bold"), (f"{counted(tokens, 'token'):>13}", "$phi-quiet")
    )
