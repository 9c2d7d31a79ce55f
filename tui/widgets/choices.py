"""Rows of choices in the empty chat: on the first run the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.widgets.indent import Indented
from tui.widgets.model_rows import does, facts, fit

if TYPE_CHECKING:
    from assistant.core.memory.speed_estimate import Speed
    from assistant.models.catalogue import FoundModel

CONNECT, STAY, MODELS = "connect", "stay", "models"
"""Choices that are no model."""
INDENT = 4
"""Cells before all lines of a row but its first."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The models that are offered to a new user: None while this machine is looked at."""

    models: Sequence[FoundModel] | None = None
    speeds: Mapping[str, Speed] | None = None
    """Speed of each here; None while that is measured."""
    fetching: str = ""
    """The model that is being fetched."""


class Choices(OptionList):
    """Reached with up from an empty text; letters go to the text all the same."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("down", "down", show=False)]

    @dataclass
    class Chosen(Message):
        """A row was chosen: a model, or one of the words above."""

        choice: FoundModel | str

    class Left(Message):
        """The user goes back to the text."""

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._choices: list[FoundModel | str] = []

    def show(self, offer: Offer | None, *, is_demo: bool) -> None:
        """Show ``offer`` to a new user, the way to a real model to others; the mark stays."""
        marked = _name(self._choices[self.highlighted]) if self.highlighted is not None else None
        rows: list[tuple[FoundModel | str, Content]] = []
        if offer is not None:
            rows += _offered(offer)
        elif is_demo:
            rows.append((MODELS, _row("Get a real model", "F8")))
        self.display = bool(rows)
        self._choices = [choice for choice, _ in rows]
        options = [Option(Indented(INDENT, (Content(""), words))) for _, words in rows]
        self.set_options(options)
        if rows:
            names = [_name(choice) for choice in self._choices]
            self.highlighted = names.index(marked) if marked in names else len(rows) - 1

    def action_down(self) -> None:
        """Move down; below the last row is the text."""
        if self.highlighted == self.option_count - 1:
            self.post_message(self.Left())
        else:
            self.action_cursor_down()

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(self._choices[event.option_index]))


def _name(choice: FoundModel | str) -> tuple[bool, str]:
    """Return what a choice stays the same by, whatever is found out of it meanwhile."""
    return (True, choice) if isinstance(choice, str) else (False, choice.name)


def _offered(offer: Offer) -> list[tuple[FoundModel | str, Content]]:
    rows: list[tuple[FoundModel | str, Content]] = []
    for one in offer.models or ():
        if one.kind in ("hub", "folder"):
            about = fit(one, offer.speeds)
            words = does(one, is_fetching=one.name == offer.fetching)
            rows.append((one, Content.assemble(_row(words, facts(one)), "\n", about)))
    rows.append((CONNECT, _row("Connect to a server", "vLLM, Ollama, …")))
    rows.append((STAY, _row("Stay with the demo model", "it knows only coloured shapes")))
    return rows


def _row(does: str, about: str) -> Content:
    return Content.assemble((does, "bold"), (f"  {about}", "$phi-quiet"))
