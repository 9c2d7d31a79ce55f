"""Every key and every slash command, from the table that makes them work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Column, Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.commands import APP_KEYS, CHAT_KEYS, COMPOSER_KEYS, LIST_KEYS, SLASHES

SECTIONS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Everywhere", tuple((key.shown, key.does) for key in (*CHAT_KEYS, *APP_KEYS))),
    ("While typing", tuple((key.shown, key.does) for key in COMPOSER_KEYS)),
    ("In the list of chats", tuple((key.shown, key.does) for key in LIST_KEYS)),
    ("Commands", tuple((f"{s.name} {s.argument}".strip(), s.does) for s in SLASHES)),
    (
        "Pictures",
        (
            ("drop", "Drop files on the window; their paths become pictures"),
            ("paste", "Paste one or more paths"),
            ("type", "Type a picture's path alone and press enter"),
        ),
    ),
)


LEFT_WIDTH = 20


class HelpScreen(ModalScreen[None]):
    """Closes with escape, F1 or q."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q", "dismiss(None)", "Close", show=False)
    ]

    def compose(self) -> ComposeResult:
        """One section under the other."""
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Keys and commands"
            dialog.border_subtitle = "esc closes"
            for title, rows in SECTIONS:
                yield Static(Content.styled(title, "bold $primary"), classes="section")
                yield Static(_table(rows))


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(Column(width=LEFT_WIDTH), Column(), padding=(0, 2, 0, 0))
    for left, right in rows:
        table.add_row(Text(left), Text(right))
    return table
