"""Chip of a picture that will be sent: its number to be, name, size, cost, and a cross."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.values.context import ChosenBy, PictureCost, PictureLayout
from assistant.values.conversation import PictureFile
from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.keys import CHIP_KEYS, bindings
from tui.terminal.detect import PictureProtocol
from tui.widgets.gallery import Gallery
from tui.widgets.picture_drawing import PictureDrawing

CROSS = " ✕ "
NAME_WIDTH = 24
THUMBNAIL = (16, 5)
"""Columns and rows at most."""


class CrossedChip(Vertical, can_focus=True):
    """A chip whose line ends in a cross."""

    @dataclass
    class Crossed(Message):
        """The picture shall go: its cross was clicked, or a key pressed."""

        chip: CrossedChip

    @dataclass
    class Left(Message):
        """The focus shall go back to the text."""

    def __init__(self) -> None:
        super().__init__()
        self.label = Static()

    def compose(self) -> ComposeResult:
        yield self.label

    def on_click(self, event: events.Click) -> None:
        event.stop()
        region = self.label.region
        if event.screen_y == region.y and event.screen_x >= region.right - len(CROSS):
            self.action_take_off()
        else:
            self.open()

    def open(self) -> None:
        """Do nothing: there is nothing to see before the picture is opened."""

    def action_take_off(self) -> None:
        """Ask that the picture be taken off."""
        self.post_message(self.Crossed(self))

    def action_leave(self) -> None:
        """Ask that the focus goes back to the text."""
        self.post_message(self.Left())


class Chip(CrossedChip):
    """One attached picture in the composer; reached with shift+tab."""

    BINDINGS: ClassVar = bindings(CHIP_KEYS)

    @dataclass
    class DetailWanted(Message):
        """The user wants to choose the detail in which the model looks at the picture."""

        chip: Chip

    @dataclass
    class Opened(Message):
        """The picture shall be shown large."""

        chip: Chip

    @dataclass
    class Moved(Message):
        """The focus shall go to the chip before (-1) or after (1)."""

        chip: Chip
        by: int

    def __init__(self, file: PictureFile, gallery: Gallery) -> None:
        super().__init__()
        self.file = file
        self._gallery = gallery
        self.number = 0
        """The number that it will get in the session; 0 while it isn't known."""
        self.cost: PictureCost | None = None
        """Its share of the prompt, once that was counted."""
        self.seen: PictureFile | None = None
        """The picture, in its detail then, that the model has looked at."""

    def compose(self) -> ComposeResult:
        yield self.label
        if self._gallery.protocol is not PictureProtocol.TEXT:
            yield PictureDrawing(self.file, self._gallery, *THUMBNAIL, rests=True)

    def on_mount(self) -> None:
        self._show()

    def open(self) -> None:
        """Ask that the picture be shown large."""
        self.post_message(self.Opened(self))

    def show_cost(self, number: int, cost: PictureCost | None) -> None:
        """Show the number it will get and what it takes in the prompt."""
        if (number, cost) != (self.number, self.cost):
            self.number, self.cost = number, cost
            self._show()

    def show_seen(self) -> None:
        """Show that the model has looked at it: the answer need not wait for that."""
        self.seen = self.file
        self._show()

    def choose_detail(self, detail: int | None) -> None:
        """Look at it in this detail at most; None leaves it to the engine."""
        self.file = replace(self.file, num_crops=detail)

    def _show(self) -> None:
        file, cost = self.file, self.cost
        self.label.update(
            Content.assemble(
                ("▣ ", "$primary"),
                (f"#{self.number} " if self.number else "", "bold"),
                one_line(file.name, NAME_WIDTH),
                (f" {file.width}×{file.height}", "$phi-quiet"),
                (" cut short" if file.notice else "", "$warning"),
                _cost_words(cost),
                (" · seen" if self.seen is file else "", "$phi-quiet"),
                (CROSS, "$phi-quiet"),
            )
        )
        facts = [one_line(file.name), f"{file.width}×{file.height}", file_size(len(file.data))]
        if cost is not None:
            facts.append(f"{counted(cost.tokens, 'token')}{_in_parts(cost.layout, ' in ')}")
        if file.notice:
            facts.append(one_line(file.notice))
        if self.seen is file:
            facts.append("the model has looked at it")
        self.tooltip = Content(" · ".join(facts))

    def action_choose_detail(self) -> None:
        """Ask for the detail in which the model looks at it."""
        self.post_message(self.DetailWanted(self))

    def action_move(self, by: int) -> None:
        """Move the focus to the chip before or after."""
        self.post_message(self.Moved(self, by))


def _cost_words(cost: PictureCost | None) -> Content:
    if cost is None:
        return Content("")
    words = Content.styled(f" {counted(cost.tokens, 'token')}", "$phi-quiet")
    if cost.chosen_by is ChosenBy.ROOM:
        return Content.assemble(words, (_in_parts(cost.layout, " ↓"), "$warning"))
    if cost.chosen_by is ChosenBy.STORED:
        return Content.assemble(words, (_in_parts(cost.layout, " "), "$secondary"))
    return words


def _in_parts(layout: PictureLayout, before: str) -> str:
    """``before`` and the number of parts, "" for a model that has no choice of them."""
    return f"{before}{counted(layout.detail, layout.part)}" if layout.part else ""
