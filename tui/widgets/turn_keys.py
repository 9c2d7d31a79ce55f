"""Keys of the selected turn, on the container of the turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message

from tui.keys import TURN_ACTIONS, TURN_KEYS
from tui.widgets.typed_together import is_text

_KEYS = {key for row in TURN_KEYS for key in row.keys.split(",")} | {
    action.key for action in TURN_ACTIONS
}


class TurnKeys(Container, can_focus=True):
    """Holds the turns. Has the focus while one is selected, and posts which key was pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(key.binding() for key in TURN_KEYS),
        *(
            Binding(action.key, f"do('{action.name}')", action.does, show=False)
            for action in TURN_ACTIONS
        ),
    ]

    _is_selecting = False
    _is_left = False
    """A letter was typed: those that follow are text too, before the focus has moved."""

    @dataclass
    class Pressed(Message):
        """An action was chosen by its key."""

        name: str

    @dataclass
    class Moved(Message):
        """Another turn shall be selected: the one above (-1) or below (1)."""

        by: int

    @dataclass
    class Left(Message):
        """No turn shall be selected; ``typed`` is what was typed instead, and ``sends`` it."""

        typed: str = ""
        sends: bool = False

    def allow_focus(self) -> bool:
        return self._is_selecting

    def begin(self) -> None:
        """Take the focus: a turn is selected."""
        self._is_left, self._is_selecting = False, True
        self.screen.set_focus(self)  # now: the next key is for this turn

    def end(self) -> None:
        """Give the focus up, because no turn is selected."""
        self._is_selecting = False

    def action_do(self, name: str) -> None:
        """Post which action was chosen."""
        self.post_message(self.Pressed(name))

    def action_select(self, by: int) -> None:
        """Post which turn shall be selected."""
        self.post_message(self.Moved(by))

    def action_leave(self) -> None:
        """Go back to the text."""
        self.post_message(self.Left())

    def on_key(self, event: events.Key) -> None:
        # what is no key of a turn is text, and so is what came together with it
        text = (event.character or "") if event.is_printable else ""
        if text and (self._is_left or event.key not in _KEYS or is_text(self, event, _KEYS)):
            event.stop()
            event.prevent_default()
            self._is_left = True
            self.post_message(self.Left(text))
        elif self._is_left and event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Left(sends=True))
