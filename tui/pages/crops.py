"""Asks in how many crops the model shall look at a picture."""

from __future__ import annotations

from collections.abc import Sequence
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

CHOICES = (None, 1, 4, 9, 16)
"""None: automatic. The others are squares of the picture's side in crops."""


def tokens_of_crops(engine: Engine, picture: Picture | PictureFile) -> list[int]:
    """What a picture takes with each of :data:`CHOICES`. Raises PhichatError, ValueError."""
    return [engine.pictures.tokens(replace(picture, num_crops=crops)) for crops in CHOICES]


@dataclass(frozen=True, slots=True)
class CropsChosen:
    """``num_crops`` at most; None leaves it to the engine."""

    num_crops: int | None


class CropsScreen(Dialog[CropsChosen | None]):
    """Returns the choice, or None when it was left as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in CHOICE_KEYS if key.action]

    def __init__(self, name: str, chosen: int | None, tokens: Sequence[int]) -> None:
        """``tokens`` are what the picture takes with each of :data:`CHOICES`."""
        super().__init__()
        self._picture_name = one_line(name, 40)
        self._chosen = chosen
        self._tokens_of = tokens

    def compose(self) -> ComposeResult:
        """One line a choice."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Crops"
            dialog.border_subtitle = "enter chooses · esc leaves it"
            yield Static(
                Content.assemble(
                    f"In how many crops shall the model look at {self._picture_name}?\n",
                    ("More show smaller print and take more tokens.", "$phi-quiet"),
                ),
                classes="question",
            )
            rows = zip(CHOICES, self._tokens_of, strict=True)
            options = OptionList(*[Option(_row(*row)) for row in rows])
            chosen = self._chosen if self._chosen in CHOICES else None
            options.highlighted = CHOICES.index(chosen)
            yield options

    @on(OptionList.OptionSelected)
    def _crops_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(CropsChosen(CHOICES[event.option_index]))


def _row(num_crops: int | None, tokens: int) -> Content:
    name = "automatic" if num_crops is None else f"at most {counted(num_crops, 'crop')}"
    return Content.assemble((f"{name:<20}", "bold"), (f"{tokens:>6} tokens", "$phi-quiet"))
