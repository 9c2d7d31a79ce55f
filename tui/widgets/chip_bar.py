"""The pictures that will be sent with the next message."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.containers import ItemGrid
from textual.content import Content
from textual.widgets import Static

from assistant.conversation import PictureFile
from tui.text import counted
from tui.widgets.chip import Chip


class Opening(Static):
    """Stands for pictures that are being opened."""


class ChipBar(ItemGrid):
    """Chips side by side, in the order in which they will be numbered."""

    def __init__(self) -> None:
        super().__init__(min_column_width=30)
        self.display = False
        self._opening = 0

    @property
    def files(self) -> tuple[PictureFile, ...]:
        """The attached pictures, in order."""
        return tuple(chip.file for chip in self.query(Chip))

    @property
    def opening(self) -> int:
        """How many pictures are still being opened."""
        return self._opening

    async def add(self, *files: PictureFile) -> None:
        """Attach pictures."""
        note = self.query(Opening)
        chips = [Chip(file) for file in files]
        await self.mount_all(chips, before=note.first() if note else None)
        self._show()

    async def remove_last(self) -> None:
        """Take the last picture off."""
        if chips := self.query(Chip):
            await chips.last().remove()
            self._show()

    async def take(self, files: Sequence[PictureFile]) -> None:
        """Take these pictures off: they were sent or put aside."""
        gone = {id(file) for file in files}
        for chip in self.query(Chip):
            if id(chip.file) in gone:
                await chip.remove()
        self._show()

    async def set_opening(self, count: int) -> None:
        """Show that ``count`` pictures are being opened."""
        self._opening = count
        await self.query(Opening).remove()
        if count:
            words = f"opening {counted(count, 'picture')} …"
            await self.mount(Opening(Content.styled(words, "italic $phi-quiet")))
        self._show()

    @on(Chip.Crossed)
    async def _take_off(self, event: Chip.Crossed) -> None:
        event.stop()
        await event.chip.remove()
        self._show()

    def _show(self) -> None:
        self.display = bool(self.query(Chip)) or self._opening > 0
