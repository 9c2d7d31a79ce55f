"""Composer, and the pages about its message: its pictures, and the prompt it would give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.content import Content

from assistant.samples import SAMPLES
from assistant.values.conversation import PictureFile, ShownPicture
from assistant.values.errors import PictureError
from assistant.values.region import box_of
from assistant.values.text import one_line
from assistant.values.words import counted
from tui import requests
from tui.chat.part import ChatPart
from tui.pages.attach import AttachScreen
from tui.pages.choose import ChooseScreen
from tui.pages.detail import DetailChoices, DetailChosen, DetailScreen, detail_choices
from tui.pages.password import PasswordScreen
from tui.pages.picture import CutWanted, PictureScreen, Shown, attached, stored
from tui.pages.pictures import shown_words
from tui.pages.strip import Picked, StripScreen
from tui.widgets import entered
from tui.widgets.chip import NAME_WIDTH, Chip
from tui.widgets.chip_bar import ChipBar
from tui.widgets.chip_unopened import OpeningChip, Watch
from tui.widgets.composer import Composer

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from tui.chat.open_chat import OpenChat
    from tui.chat.turns import Turns
    from tui.widgets.gallery import Gallery


class Attachments(ChatPart):
    """Holds the composer; opens the pages about what it attaches and doubts."""

    def __init__(self, engine: Engine, chat: OpenChat, gallery: Gallery, turns: Turns) -> None:
        super().__init__(engine, chat, id="attachments")
        self._gallery = gallery
        self._turns = turns
        self._samples = cycle(SAMPLES)
        self._unlocking: set[str] = set()
        """Documents of which a password was typed."""
        self.composer = Composer(engine, gallery)

    def compose(self) -> ComposeResult:
        yield self.composer

    @on(Chip.Left)
    @on(OpeningChip.Left)
    def _go_back_to_text(self) -> None:
        self.composer.area.focus()

    @on(entered.AttachRequested)
    async def _attach_requested(self, event: entered.AttachRequested) -> None:
        await self.composer.attach(event.sources)

    @on(entered.NothingEntered)
    async def _begin_with_sample(self) -> None:
        if self._chat.is_open and self._chat.session_id is None and not self._chat.turns:
            await self.action_try_sample()

    async def action_try_sample(self) -> None:
        """Attach the next sample with its question; the demo model knows the first alone."""
        sample = SAMPLES[0] if self._turns.pane.is_demo else next(self._samples)
        self.composer.area.put_first(sample.question)
        await self.composer.attach((str(sample.path),))

    async def action_attach(self, argument: str = "") -> None:
        """Attach what ``argument`` names, or ask for it."""
        if argument:
            sources, command = await self.composer.named.listed(argument), requests.COMMAND.get()

            def with_refused(refused: Collection[str]) -> str:
                some = " ".join(quote(one) for one in sources if one in refused)
                return command if set(sources) <= set(refused) else f"/attach {some}"

            if command:
                self.composer.named.take_out(sources, "", with_refused)
            await self.composer.attach(sources)
        else:
            page = AttachScreen(Path.cwd(), self._look_at, self._gallery, self._strip)
            self.open_page(page, self._attach_picked)

    def _strip(self, source: str) -> StripScreen:
        return StripScreen(source, self._engine.pictures.read_document, self._gallery)

    @on(entered.PagesWanted)
    def _ask_for_pages(self, event: entered.PagesWanted) -> None:
        """Have the user choose from a document with many pages."""

        async def closed(picked: Picked | None) -> None:
            if picked is None:
                await self.composer.keep_as_text(event.source)
            await self._attach_picked(picked)

        self.open_page(self._strip(event.source), closed)

    @on(entered.PasswordWanted)
    def _ask_for_password(self, event: entered.PasswordWanted) -> None:
        """Have the user type the password of a document, and attach that then."""
        source = event.source
        from assistant.pictures.dropped import file_of  # not for the first paint

        async def closed(password: str | None) -> None:
            if password:
                self._engine.pictures.unlock(password)
                self._unlocking.add(source)
                await self.composer.attach((source,))
            else:
                await self.composer.keep_as_text(source)

        name, again = Path(file_of(source)).name, source in self._unlocking
        self.open_page(PasswordScreen(name, again=again), closed)

    async def _attach_picked(self, picked: Picked | None) -> None:
        if picked is None:
            return
        for source in picked.sources:
            named = await self.composer.named.listed(source)
            await self.composer.attach(named)
            if picked.quotes:
                self._quote(named)

    def _quote(self, sources: Sequence[str]) -> None:
        """Put the text of pages into the message, as a quotation."""

        def quote() -> requests.Answer:
            words = "\n\n".join(map(self._engine.pictures.quoted_text, sources))
            return partial(self.composer.area.put_first, f"{words}\n")

        self.in_thread(quote)

    @on(entered.PicturesNamed)
    def _ask_about_named(self, event: entered.PicturesNamed) -> None:
        """Ask whether the pictures that a message names shall be attached before it is sent."""
        text, composer = event.text, self.composer
        names = event.names

        async def chosen(place: int | None) -> None:
            if place == 0:
                await composer.attach_named(text, send=True)
            elif place == 1:
                self.post_message(entered.Sent(text))
            else:
                composer.area.put_first(text)

        what = one_line(names[0], 30) if len(names) == 1 else counted(len(names), "picture")
        rows = [Content(" Attach and send"), Content(" Send the words alone")]
        self.open_page(ChooseScreen(f"The message names {what}", rows), chosen)

    @on(entered.CommandDoubted)
    def _ask_about_command(self, event: entered.CommandDoubted) -> None:
        """Ask whether a message of one word is a command."""
        text, slash, composer = event.text, event.command, self.composer

        def chosen(place: int | None) -> None:
            if place == 0:
                self.post_message(entered.CommandEntered(slash, ""))
            elif place == 1:
                self.post_message(entered.Sent(text))
            else:
                composer.area.put_first(text)

        word = one_line(text.strip())
        rows = [Content(f" {slash.name}: {slash.does}"), Content(f" Send “{word}” to the model")]
        self.open_page(ChooseScreen(f"Is “{word}” a command?", rows), chosen)

    @on(ChipBar.Opened)
    def _look_for_places(self, event: ChipBar.Opened) -> None:
        """Say where a picture that is attached was shown before, or that it is attached twice."""
        file, here = event.file, self._chat.session_id
        same_pixels = [
            one for one in self.composer.chips.files if one.pixels_sha256 == file.pixels_sha256
        ]
        if same_pixels and same_pixels[0] is not file:
            name = one_line(same_pixels[0].name, NAME_WIDTH)
            self.tell(f"The same picture is attached twice: the first is {name}.")
            return

        def look() -> requests.Answer:
            shown = self._engine.store.shown_before(file)
            same = shown is not None and shown.picture.pixels_sha256 == file.pixels_sha256
            if shown is None or (shown.session_id == here and not same):
                return None
            if shown.session_id == here:
                number = shown.picture.number
                words = f"This is picture {number} of this chat already; #{number} stands for it."
            else:
                words = shown_words(shown, same=same, now=datetime.now(UTC))
            return partial(self.tell, words)

        self.in_thread(look)

    def _look_at(self, path: str, watch: Watch) -> tuple[PictureFile, int]:
        file = self._engine.pictures.open(path, watch)
        return file, self._engine.pictures.tokens(file)

    async def action_show_picture(self, number: str = "") -> None:
        """Show a picture large: of this number, else one that is attached, else one in sight."""
        await self._find_picture(number, self._show)

    async def attach_again(self, shown: ShownPicture) -> None:
        """Attach a picture that was shown before, in whatever chat."""

        def read(_: Watch) -> tuple[PictureFile]:
            number = shown.picture.number
            return (self._engine.store.picture_file(shown.session_id, number),)

        await self.composer.chips.open(shown.picture.name, read)

    async def action_attach_region(self, argument: str = "") -> None:
        """Attach a part of the picture of a number, else show that with a frame to be moved."""
        number, _, typed = argument.strip().partition(" ")
        if not typed and "," in number:
            number, typed = "", number

        async def cut(shown: list[Shown], index: int) -> None:
            source, picture = shown[index].source, shown[index].picture
            try:
                box = box_of("".join(typed.split()), picture.width, picture.height, picture.name)
            except PictureError as refused:
                self.refuse(str(refused))
            else:
                await self._cut(CutWanted(source, box))

        await self._find_picture(number, cut if typed else partial(self._show, framing=True))

    async def _cut(self, wanted: CutWanted | None) -> None:
        if wanted is None:
            return
        source, box, gallery = wanted.source, wanted.box, self._gallery

        def cut(watch: Watch) -> tuple[PictureFile]:
            return (self._engine.pictures.cut(source, gallery.data(source), box, watch),)

        await self.composer.chips.open(source.name, cut)
        self.composer.area.focus()

    async def _find_picture(
        self, number: str, then: Callable[[list[Shown], int], Awaitable[None]]
    ) -> None:
        """Call ``then`` with all pictures of the chat and the place of the one that is meant."""
        async with self._chat.switching:
            if not self._is_open():
                return
            session_id, turns = self._chat.session_id, tuple(self._chat.turns)
            shown = stored(session_id, turns) if session_id is not None else []
            shown += [self._shown(chip) for chip in self.composer.chips.query(Chip)]
            wanted = number.strip().removeprefix("#")
            if not wanted and (chip := self.composer.chips.in_focus) is not None:
                wanted = str(chip.number)
            wanted = wanted or str(self._turns.pane.picture_in_sight())
            numbers = [str(one.picture.number) for one in shown]
            if not shown:
                self.refuse("This chat has no picture yet.")
            elif wanted not in numbers:
                self.refuse(f"There is no picture {one_line(wanted, 20)} in this chat.")
            else:
                await then(shown, numbers.index(wanted))

    def _is_open(self) -> bool:
        """Whether the chat is here that the app began with; tells the user if not."""
        if not self._chat.is_open:
            self.refuse("The chat is still being opened; press the key again then.")
        return self._chat.is_open

    @on(Chip.Opened)
    async def _show_chip(self, event: Chip.Opened) -> None:
        """Show an attached picture large, and those beside it."""
        chips = list(self.composer.chips.query(Chip))
        await self._show([self._shown(one) for one in chips], chips.index(event.chip))

    def _shown(self, chip: Chip) -> Shown:
        choose = partial(self.composer.chips.choose_detail, chip)
        return attached(chip.file, chip.number, choose)

    async def _show(self, shown: list[Shown], index: int, *, framing: bool = False) -> None:
        self.open_page(PictureScreen(shown, index, self._gallery, framing=framing), self._cut)

    @on(Chip.DetailWanted)
    def _choose_detail(self, event: Chip.DetailWanted) -> None:
        """Ask in which detail the model shall look at an attached picture."""
        chip = event.chip

        def picked(chosen: DetailChosen | None) -> None:
            if chosen is not None:
                self.composer.chips.choose_detail(chip, chosen.detail)

        def ask(choices: DetailChoices | None) -> None:
            if choices is not None:
                self.open_page(DetailScreen(chip.file, choices), picked)

        self.in_thread(lambda: partial(ask, detail_choices(self._engine, chip.file)))

    def action_show_context(self) -> None:
        """Show the exact prompt, with what is being written."""
        if not self._is_open():
            return
        from tui.pages.context import ContextScreen  # not needed for the first paint

        written = self.composer.draft
        draft = written if written.text.strip() or written.pictures else None
        parent = self._chat.parent_of(self.composer.edited)
        chat = self._chat
        self.open_page(ContextScreen(self._engine, chat.session_id, draft, parent, chat.system))
