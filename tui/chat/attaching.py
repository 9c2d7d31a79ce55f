"""The pictures of the message that is being written, and those of the chat shown large."""

from __future__ import annotations

import asyncio
import shlex
from functools import partial
from pathlib import Path

from textual import events, on, work
from textual.app import SuspendNotSupported

from assistant.values.conversation import PictureFile
from assistant.values.text import one_line
from tui import messages
from tui.chat.picture_costs import measured
from tui.chat.turns import TurnScreen
from tui.pages.attach import AttachScreen
from tui.pages.crops import CropsScreen, tokens_of_crops
from tui.pages.picture import PictureScreen
from tui.terminal.editor import EditorError, edit
from tui.widgets.chat_pane import ChatPane
from tui.widgets.chip import Chip
from tui.widgets.chip_bar import ChipBar
from tui.widgets.chip_opening import OpeningChip
from tui.widgets.composer import Composer
from tui.widgets.drawing import Drawing
from tui.widgets.gallery import Gallery
from tui.widgets.picture_view import PictureView
from tui.widgets.prompt_area import PromptArea


class AttachingScreen(TurnScreen):
    """The part of the chat screen that opens, measures and shows pictures."""

    _gallery: Gallery

    @on(Composer.AttachRequested)
    async def _attach_requested(self, event: Composer.AttachRequested) -> None:
        await self._attach_pictures(event.sources)

    async def action_attach(self, argument: str = "") -> None:
        """Attach what ``argument`` names, or ask for it."""
        if argument:
            # at once: what is sent right after this must wait for it
            await self._attach_pictures(self._named(argument))
        else:
            # at once, and not in a worker: what is typed next is for the dialog
            self.app.push_screen(AttachScreen(Path.cwd(), self._look_at), self._attach_picked)

    async def _attach_picked(self, source: str | None) -> None:
        if source is not None:
            await self._attach_pictures((source,))

    def _named(self, argument: str) -> tuple[str, ...]:
        """The paths and addresses after ``/attach``; a word is one if any of them surely is."""
        parse = self._engine.pictures.parse_dropped
        try:
            words = shlex.split(argument)
        except ValueError:  # a quotation mark without its partner
            words = []
        several = any(word.startswith(("http://", "https://")) or parse(word) for word in words)
        return tuple(parse(argument) or (words if several else [argument]))

    async def _attach_pictures(self, sources: tuple[str, ...]) -> None:
        chips = self.query_one(Composer).chips
        for source in sources:
            await chips.open(source, partial(self._engine.pictures.open, source))

    @on(PromptArea.PictureWanted)
    async def _paste(self, event: PromptArea.PictureWanted) -> None:
        await self.action_paste_picture(event.text)

    async def action_paste_picture(self, text: str = "") -> None:
        """Attach the picture in the system's clipboard; where there is none, paste ``text``."""
        chips = self.query_one(Composer).chips
        await chips.open("the clipboard", lambda _: self._engine.pictures.open_clipboard(), text)

    @on(OpeningChip.Refused)
    def _tell_why_not(self, event: OpeningChip.Refused) -> None:
        if event.chip.instead:
            self.query_one(Composer).area.paste_text(event.chip.instead)
        else:
            self.tell(event.reason, error=True)

    @on(PromptArea.EditorWanted)
    def _edit_outside(self) -> None:
        area = self.query_one(Composer).area
        try:
            with self.app.suspend():
                text = edit(area.text)
        except SuspendNotSupported:
            self.tell("This terminal can't be lent to an editor.", error=True)
        except EditorError as refused:
            self.tell(str(refused), error=True)
        else:
            area.set_text(text)
        self.app.refresh(layout=True)

    def _look_at(self, path: str) -> tuple[PictureFile, int]:
        file = self._engine.pictures.open(path)
        return file, self._engine.pictures.tokens(file)

    @on(Chip.CropsWanted)
    @work
    async def _choose_crops(self, event: Chip.CropsWanted) -> None:
        chip = event.chip
        tokens = await asyncio.to_thread(tokens_of_crops, self._engine, chip.file)
        chosen = chip.file.num_crops
        picked = await self.app.push_screen_wait(CropsScreen(chip.file.name, chosen, tokens))
        if picked is not None:
            chip.choose_crops(picked.num_crops)
            self._measure_draft()

    @on(ChipBar.Changed)
    def _measure_draft(self) -> None:
        """Have counted what the attached pictures take, and what ``#`` can refer to."""
        composer = self.query_one(Composer)
        session_id, files = self.session_id, composer.chips.files
        if session_id is not None or files:
            parent = self._follows
            self.in_thread(lambda: measured(self._engine, session_id, files, parent))
        else:
            composer.show_pictures(())

    @on(messages.DraftMeasured)
    def _show_measures(self, event: messages.DraftMeasured) -> None:
        composer = self.query_one(Composer)
        if event.session_id == self.session_id:
            if event.files == composer.chips.files:  # else it is old news
                composer.chips.show_costs(event.numbers, event.costs)
                composer.show_pictures(event.pictures)
            self.actions.show_summary(event.below_summary, event.summary)

    @on(PictureView.Opened)
    async def _show_clicked(self, event: PictureView.Opened) -> None:
        await self.action_show_picture(str(event.number))

    async def action_show_picture(self, number: str = "") -> None:
        """Show a picture large: the one with this number, or the last one in sight."""
        async with self.switching:
            self._show_picture(number)

    def _show_picture(self, number: str) -> None:
        pane = self.query_one(ChatPane)
        wanted = number.strip().removeprefix("#") or str(pane.picture_in_sight())
        numbers = {str(picture.number) for turn in pane.turns for picture in turn.pictures}
        if not numbers:
            self.tell("This chat has no picture yet.")
        elif wanted not in numbers:
            self.tell(f"There is no picture {one_line(wanted, 20)} in this chat.")
        else:
            assert self.session_id is not None
            screen = PictureScreen(self.session_id, pane.turns, int(wanted), self._gallery)
            self.app.push_screen(screen)

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _draw_pictures_anew(self) -> None:
        """A dialog tints what is below it, which pictures of the terminal's own don't bear."""
        for drawing in self.query(Drawing):
            drawing.refresh()
