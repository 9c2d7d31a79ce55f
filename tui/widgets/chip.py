"""A picture that will be sent: its name and size, and a cross to take it off."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.conversation import PictureFile
from assistant.plain_text import one_line
from tui.text import file_size

CROSS = " ✕ "


class Chip(Static):
    """One attached picture in the composer."""

    @dataclass
    class Crossed(Message):
        """The cross was clicked."""

        chip: Chip

    def __init__(self, file: PictureFile) -> None:
        self.file = file
        super().__init__(
            Content.assemble(
                ("▣ ", "$primary"),
                one_line(file.name, 32),
                (f" {file.width}×{file.height} {file_size(len(file.data))}", "$phi-quiet"),
                (CROSS, "$phi-quiet"),
            )
        )
        self.tooltip = Content(one_line(file.name))

    def on_click(self, event: events.Click) -> None:
        """Take the picture off when the cross was hit."""
        event.stop()
        if event.x >= self.outer_size.width - len(CROSS) - self.styles.padding.right:
            self.post_message(self.Crossed(self))
