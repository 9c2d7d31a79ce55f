"""Bar of the keys of the selected turn, which has the focus meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui.keys import TURN_ACTIONS, TURN_KEYS, TurnAction

_KEYS = {key for row in TURN_KEYS for key in row.keys.split(",")} | {
    action.key for action in TURN_ACTIONS
}


class TurnBar(Static, can_focus=True):
    """Shown while a turn is selected; posts which key was pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(key.binding() for key in TURN_KEYS),
        *(
            Binding(action.key, f"do('{action.name}')", action.does, show=False)
            for action in TURN_ACTIONS
        ),
    ]

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
        """No turn shall be selected; ``typed`` is what was typed instead."""

        typed: str = ""

    def show(self, what: Content, actions: Sequence[TurnAction], *, has_versions: bool) -> None:
        """Show the keys for a turn and take the focus."""
        self._is_left = False
        keys = [Content.assemble((action.key, "bold"), f" {action.short}") for action in actions]
        if has_versions:
            keys.insert(0, Content.assemble(("←→", "bold"), " versions"))
        keys.append(Content.assemble(("↵", "bold"), " all"))
        keys.append(Content.assemble(("esc", "bold"), " back"))
        self.update(Content("  ").join([what, *keys]))
        self.add_class("-shown")
        self.screen.set_focus(self)  # now: the next key is for this turn

    def hide(self) -> None:
        """Hide the bar, because no turn is selected."""
        self.remove_class("-shown")

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
        # what is no key of a turn is text
        if (self._is_left or event.key not in _KEYS) and event.is_printable and event.character:
            event.stop()
            self._is_left = True
            self.post_message(self.Left(event.character))
