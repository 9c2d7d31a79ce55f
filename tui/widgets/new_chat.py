"""Row above the list of chats that begins a new one."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import Static


class NewChat(Static):
    """Says with which key; a click does it too."""

    @dataclass
    class Pressed(Message):
        """It was clicked."""

    def __init__(self, key: str) -> None:
        words = Content.assemble(("+ New chat", "bold $primary"), (f"  {key}", "$phi-quiet"))
        super().__init__(words, classes="new")

    def on_click(self) -> None:
        self.post_message(self.Pressed())
