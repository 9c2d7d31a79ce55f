"""Chip of a picture that will be sent: its number to be, name, size, cost, and a cross."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.values.context import ChosenBy, PictureCost
from assistant.values.conversation import PictureFile
from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.keys import CHIP_KEYS

CROSS = " ✕ "
NAME_WIDTH = 24


class CrossedChip(Static, can_focus=True):
    """A chip that ends in a cross."""

    @dataclass
    class Crossed(Message):
        """The picture shall go: its cross was clicked, or a key pressed."""

        chip: CrossedChip

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.x >= self.outer_size.width - len(CROSS) - self.styles.padding.right:
            self.action_take_off()
        else:
            self.action_choose_crops()

    def action_take_off(self) -> None:
        """Ask that the picture be taken off."""
        self.post_message(self.Crossed(self))

    def action_choose_crops(self) -> None:
        """Do nothing: a picture that is not opened has no crops."""


class Chip(CrossedChip):
    """One attached picture in the composer; reached with shift+tab."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in CHIP_KEYS]

    @dataclass
    class CropsWanted(Message):
        """The user wants to choose in how many crops the model looks at it."""

        chip: Chip

    @dataclass
    class Moved(Message):
        """The focus shall go to the chip before (-1) or after (1)."""

        chip: Chip
        by: int

    def __init__(self, file: PictureFile) -> None:
        super().__init__()
        self.file = file
        self.number = 0
        """The number that it will get in the session; 0 while it isn't known."""
        self.cost: PictureCost | None = None
        """Its share of the prompt, once that was counted."""

    def on_mount(self) -> None:
        self._show()

    def show_cost(self, number: int, cost: PictureCost | None) -> None:
        """Show the number it will get and what it takes in the prompt."""
        if (number, cost) != (self.number, self.cost):
            self.number, self.cost = number, cost
            self._show()

    def choose_crops(self, num_crops: int | None) -> None:
        """Set the most crops that the model looks at; None leaves the choice to the engine."""
        self.file = replace(self.file, num_crops=num_crops)

    def _show(self) -> None:
        file, cost = self.file, self.cost
        self.update(
            Content.assemble(
                ("▣ ", "$primary"),
                (f"#{self.number} " if self.number else "", "bold"),
                one_line(file.name, NAME_WIDTH),
                (f" {file.width}×{file.height}", "$phi-quiet"),
                _cost_words(cost),
                (CROSS, "$phi-quiet"),
            )
        )
        facts = [one_line(file.name), f"{file.width}×{file.height}", file_size(len(file.data))]
        if cost is not None:
            facts.append(f"{cost.tokens} tokens in {counted(cost.num_crops, 'crop')}")
        self.tooltip = Content(" · ".join(facts))

    def action_choose_crops(self) -> None:
        """Ask in how many crops the model looks at it."""
        self.post_message(self.CropsWanted(self))

    def action_move(self, by: int) -> None:
        """Move the focus to the chip before or after."""
        self.post_message(self.Moved(self, by))


def _cost_words(cost: PictureCost | None) -> Content:
    if cost is None:
        return Content("")
    words = Content.styled(f" {cost.tokens} tokens", "$phi-quiet")
    if cost.chosen_by is ChosenBy.ROOM:
        return Content.assemble(words, (f" ↓{counted(cost.num_crops, 'crop')}", "$warning"))
    if cost.chosen_by is ChosenBy.STORED:
        return Content.assemble(words, (f" {counted(cost.num_crops, 'crop')}", "$secondary"))
    return words
