"""Bar of the pictures that will be sent with the next message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from textual import on
from textual.containers import ItemGrid
from textual.message import Message

from assistant.values.context import PictureCost
from assistant.values.conversation import PictureFile
from tui.requests import notify
from tui.widgets.chip import Chip, CrossedChip
from tui.widgets.chip_unopened import OpeningChip, OpenPictures
from tui.widgets.gallery import Gallery

COLUMN = 44
"""Cells of a chip. Where all fit into one row of a tall window, they have thumbnails."""


class ChipBar(ItemGrid):
    """Chips side by side, in the order in which they will be numbered."""

    @dataclass
    class Changed(Message):
        """Pictures came, went, or get other crops."""

    @dataclass
    class Opened(Message):
        """The user attached this picture just now."""

        file: PictureFile

    def __init__(self, gallery: Gallery) -> None:
        super().__init__(min_column_width=COLUMN)
        self._gallery = gallery
        self.display = False

    @property
    def in_focus(self) -> Chip | None:
        """The chip with the focus, else the last one."""
        chips = list(self.query(Chip))
        return next((chip for chip in chips if chip.has_focus), chips[-1] if chips else None)

    @property
    def files(self) -> tuple[PictureFile, ...]:
        """The attached pictures, in order."""
        return tuple(chip.file for chip in self.query(Chip))

    @property
    def opening(self) -> int:
        """The number of pictures that are still being opened."""
        return len(self.query(OpeningChip))

    async def put_first(self, *files: PictureFile) -> None:
        """Attach pictures in front of the others."""
        await self.mount_all(
            [Chip(file, self._gallery) for file in files], before=0 if self.children else None
        )
        self._show()

    async def open(self, label: str, open_pictures: OpenPictures, instead: str = "") -> None:
        """Attach pictures that are still to be opened; they keep this place."""
        await self.mount(OpeningChip(label, open_pictures, instead))
        self._show()
        self.scroll_end(animate=False)

    async def remove_last(self) -> None:
        """Take the last picture off, be it opened or not."""
        if self.children:
            await self.children[-1].remove()
            self._show()

    async def take(self, files: Sequence[PictureFile]) -> None:
        """Take these pictures off: they were sent or put aside."""
        gone = {id(file) for file in files}
        for chip in self.query(Chip):
            if id(chip.file) in gone:
                await chip.remove()
        self._show()

    async def give_up_opening(self) -> None:
        """Take off what is still being opened."""
        await self.query(OpeningChip).remove()
        self._show()

    def show_costs(self, numbers: Sequence[int], costs: Sequence[PictureCost]) -> None:
        """Show the numbers that the pictures get, and what they cost as far as that is known."""
        known = chain(costs, repeat(None))
        for chip, number, cost in zip(self.query(Chip), numbers, known, strict=False):
            chip.show_cost(number, cost)

    def show_seen(self, files: Sequence[PictureFile]) -> None:
        """Show that the model has looked at these pictures."""
        for chip in self.query(Chip):
            if chip.file in files:
                chip.show_seen()

    def choose_detail(self, chip: Chip, detail: int | None) -> None:
        """Let the model look at a picture in this detail at most."""
        chip.choose_detail(detail)
        self.post_message(self.Changed())

    @on(OpeningChip.Opened)
    async def _put_before(self, event: OpeningChip.Opened) -> None:
        event.stop()
        if event.chip.parent is self:
            await self.mount(Chip(event.file, self._gallery), before=event.chip)
            if event.file.notice:
                notify(self, event.file.notice)
            self._show()
            self.post_message(self.Opened(event.file))

    @on(OpeningChip.Finished)
    async def _end_opening(self, event: OpeningChip.Finished) -> None:
        event.stop()
        if event.chip.parent is self:
            place = self.children.index(event.chip)
            if event.chip.has_focus and place:
                self.children[place - 1].focus()
            await event.chip.remove()
            self._show()
            self.scroll_end(animate=False)

    @on(OpeningChip.Refused)
    @on(CrossedChip.Crossed)
    async def _take_off(self, event: OpeningChip.Refused | CrossedChip.Crossed) -> None:
        await event.chip.remove()
        self._show()

    @on(Chip.Moved)
    def _move_focus(self, event: Chip.Moved) -> None:
        event.stop()
        chips = list(self.query(Chip))
        # a key may have moved the focus on since this one was pressed
        focused = self.screen.focused
        here = focused if isinstance(focused, Chip) else event.chip
        if here in chips:  # else it was taken off meanwhile
            place = chips.index(here) + event.by
            if 0 <= place < len(chips):
                self.screen.set_focus(chips[place])

    def on_resize(self) -> None:
        self._show_thumbnails()

    def _show_thumbnails(self) -> None:
        fits = len(self.children) <= self.container_size.width // COLUMN
        self.set_class(fits, "-thumbnails")

    def _show(self) -> None:
        self.display = bool(self.children)
        self._show_thumbnails()
        self.post_message(self.Changed())
