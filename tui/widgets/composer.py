"""Composer: the pictures and the words of the next message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.message import Message
from textual.reactive import reactive

from assistant.values.conversation import Draft, PictureFile
from assistant.values.words import joined
from tui.requests import notify
from tui.slashes import split_slash
from tui.widgets.chip_bar import ChipBar
from tui.widgets.chip_unopened import OpeningChip, Watch, refusal_words
from tui.widgets.completion import KnownPicture, may_name_pictures
from tui.widgets.completion_menu import CompletionMenu
from tui.widgets.entered import (
    SLOW_DISK,
    AttachRequested,
    DraftChanged,
    LeaveWanted,
    NothingEntered,
    PagesWanted,
    PasswordWanted,
    command_meant,
    message_meant,
)
from tui.widgets.hints import NONE, Hint, in_one_line
from tui.widgets.named_pictures import Named, NamedPictures
from tui.widgets.prompt_area import PromptArea
from tui.widgets.queue_bar import QueueBar
from tui.widgets.suggestions import Suggestions

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from tui.terminal.asked_clipboard import AskedClipboard
    from tui.widgets.gallery import Gallery

PLACEHOLDER = "Ask about a picture: drop one here, or ctrl+o"
READY_HINTS = (("enter", "sends"), ("ctrl+j", "new line"), ("/", "commands"))
BUSY_HINTS = (("enter", "queues"), ("esc", "stops the reply"))
NOTICE_HINTS = (("enter", "sends"), ("esc", "clears the notice"), ("F12", "all notices"))
MENU_HINTS = (("enter", "takes it"), ("↑ ↓", "choose"), ("esc", "closes the list"))
EMPTY_HINTS = (("esc", "again empties it"), ("up", "brings it back"))
FRAME = 6
"""Cells of the lower edge that are no hints: corners, blanks, a line."""
EDITING = "another version of your message · esc back"
MORE_BELOW = "↓ the chat goes on below · ctrl+end"
PATIENCE_S = 1.0
"""Seconds that the first refusal of several pictures waits for the others."""
LONG = 10_000
"""Characters of a text that is not searched for pictures while it is typed."""


class Composer(Vertical):
    """Holds the draft and opens its pictures; posts, in order, what is sent or asked for."""

    busy: reactive[bool] = reactive(False)
    """A reply is being written."""
    has_notice: reactive[bool] = reactive(False)
    """A notice stands above."""
    is_emptying: reactive[bool] = reactive(False)
    """The next escape empties the message."""
    edited: reactive[str | None] = reactive(None)
    """The id of the message of which another version is being written."""
    hints: reactive[tuple[Content, tuple[Hint, ...]]] = reactive((NONE, ()))
    """Name and keys of the widget in focus, while that is not the text."""
    more_below: reactive[bool] = reactive(False)
    """The user reads further up in the chat."""

    def __init__(self, engine: Engine, gallery: Gallery) -> None:
        super().__init__(id="composer")
        self._engine = engine
        self.named = NamedPictures(engine.pictures.find_dropped)
        self._names: tuple[str, ...] = ()
        """Names of pictures that the text names and that are not attached."""
        self._gallery = gallery
        self._aside: Draft | None = None
        self._emptied = Draft("")
        self._refused: list[OpeningChip.Refused] = []
        self._sends: str | None = None
        """Text that shall be sent when its pictures are there, unless it is changed before."""
        self.asked_clipboard: AskedClipboard | None = None
        """The terminal's, for where no tool reads the system's."""
        self.typed_ahead = ""
        """Text that was typed before the app read keys."""

    def compose(self) -> ComposeResult:
        yield QueueBar()
        yield ChipBar(self._gallery)
        menu = CompletionMenu()
        yield PromptArea(self.named.find_dropped, self._names_pictures, PLACEHOLDER, menu)
        yield menu
        yield Suggestions()

    def on_mount(self) -> None:
        words, enter, more = self.typed_ahead.partition("\n")
        is_line = bool(words.strip() and enter and not more)
        if self.typed_ahead.strip():
            self.area.paste_text(words if is_line else self.typed_ahead)
        if is_line:  # several lines were pasted, maybe for a shell
            self.area.action_send()

    @property
    def area(self) -> PromptArea:
        """The text that is being written."""
        return self.query_one(PromptArea)

    @property
    def chips(self) -> ChipBar:
        """The attached pictures."""
        return self.query_one(ChipBar)

    @property
    def draft(self) -> Draft:
        """The message that enter would send."""
        return Draft(self.area.text, self.chips.files)

    @property
    def unsent(self) -> Draft:
        """The draft, and below it the one that was put aside to edit a message."""
        return self.draft if self._aside is None else joined(self.draft, self._aside)

    async def clear(self) -> Draft:
        """Empty the composer and return its draft, to be kept elsewhere."""
        self.hold()
        await self.chips.give_up_opening()
        unsent = self.unsent
        self.edited, self._aside = None, None
        self.area.set_text("")
        await self.chips.take(unsent.pictures)
        return unsent

    async def begin_edit(self, turn_id: str, draft: Draft) -> None:
        """Write another version of a message; what is being written is put aside meanwhile."""
        if self.edited is None:
            self._aside = self.draft
        self.area.set_text("")
        await self.chips.take(self.chips.files)
        self.edited = turn_id  # first: what follows is counted and numbered in its place
        await self.put(draft)

    async def end_edit(self) -> None:
        """Go back to what was being written before the edit."""
        aside, self._aside, self.edited = self._aside, None, None
        if aside is not None:
            await self.put(aside)

    async def give_up_edit(self) -> None:
        """Leave the message as it was, and go back to what was being written."""
        self.area.set_text("")
        await self.chips.take(self.chips.files)
        await self.end_edit()

    async def empty(self) -> None:
        """Empty the message at the second call in a row; up brings back what was there."""
        if self.is_emptying:
            await self.empty_at_once()
        else:
            self.is_emptying = bool(self.area.text or self.chips.children)

    async def empty_at_once(self) -> None:
        """Empty the message; up brings back what was there."""
        self._emptied = await self.clear()
        self.area.has_emptied = True

    @on(PromptArea.EmptiedWanted)
    async def _bring_back_emptied(self) -> None:
        self.area.has_emptied = False
        await self.put(self._emptied)

    def show_queue(self, drafts: Sequence[Draft]) -> None:
        """Show the messages that wait until the reply is over."""
        self.query_one(QueueBar).show(drafts)
        self.area.has_queue = bool(drafts)

    def show_pictures(self, pictures: Sequence[KnownPicture]) -> None:
        """Take these for what ``#`` can refer to."""
        self.area.pictures = tuple(pictures)
        self._suggest()

    async def put(self, draft: Draft) -> None:
        """Put a draft back in front of whatever was typed since."""
        await self.chips.put_first(*draft.pictures)
        self.area.put_first(draft.text)

    def _show_title(self) -> None:
        self.border_title = EDITING if self.edited else MORE_BELOW if self.more_below else None

    watch_edited = watch_more_below = _show_title

    def on_resize(self) -> None:
        self._show_hints()

    def _show_hints(self) -> None:
        """Show what keys do at the lower edge, in one line."""
        own: tuple[Hint, ...] = NOTICE_HINTS if self.has_notice else READY_HINTS
        own = EMPTY_HINTS if self.is_emptying else BUSY_HINTS if self.busy else own
        own = MENU_HINTS if self.area.menu.is_open else own
        about, hints = self.hints
        self.border_subtitle = in_one_line(hints or own, self.outer_size.width - FRAME, about)

    watch_busy = watch_has_notice = watch_is_emptying = watch_hints = _show_hints

    def quit_after_typing(self) -> None:
        """Post that the app shall end, behind the letters that were typed so far."""
        self.area.call_later(self.call_later, partial(self.post_message, LeaveWanted()))

    # Pictures

    async def attach(self, sources: Sequence[str]) -> None:
        """Attach the pictures at these paths and URLs."""
        for source in sources:
            await self.chips.open(source, partial(self._engine.pictures.open_each, source))

    async def keep_as_text(self, source: str) -> None:
        """Put the path of a picture that is not attached back to where it was taken out."""
        if exchanged := await self.named.put_back(source):
            self.area.exchange(*exchanged)

    async def action_paste_picture(self, text: str = "") -> None:
        """Attach the picture in the system's clipboard; where there is none, paste ``text``."""
        pictures, asked = self._engine.pictures, self.asked_clipboard

        def open_clipboard(watch: Watch) -> tuple[PictureFile]:
            ask = partial(asked.read, watch=watch) if asked else None
            return (pictures.open_clipboard(ask),)

        await self.chips.open("the clipboard", open_clipboard, text)

    @on(PromptArea.PictureWanted)
    async def _paste(self, event: PromptArea.PictureWanted) -> None:
        await self.action_paste_picture(event.text)

    @on(OpeningChip.Refused)
    async def _note_refusal(self, event: OpeningChip.Refused) -> None:
        if event.chip.instead:
            self.area.paste_text(event.chip.instead)
            return
        self.hold()
        if event.code == "pages":
            self.post_message(PagesWanted(event.chip.name_shown))
            return
        if event.code == "password":
            self.post_message(PasswordWanted(event.chip.name_shown))
            return
        await self.keep_as_text(event.chip.name_shown)
        self._refused.append(event)
        if not self.chips.opening:
            self._tell_refusals()
        elif len(self._refused) == 1:  # others may follow: one sentence for all
            self.set_timer(PATIENCE_S, self._tell_refusals)

    def _tell_refusals(self) -> None:
        refused, self._refused = self._refused, []
        if refused:
            notify(self, refusal_words(refused), error=True)

    @on(PromptArea.FilesDropped)
    def _attach_dropped(self, event: PromptArea.FilesDropped) -> None:
        if event.text:
            self.named.take_out_found(event.sources, event.words, event.text)
        self.post_message(AttachRequested(event.sources))

    @on(PromptArea.BackspacedAtStart)
    async def _take_last_chip(self) -> None:
        await self.chips.remove_last()

    # Text

    @on(PromptArea.Submitted)
    async def _read_text(self, event: PromptArea.Submitted) -> None:
        text = event.text
        if command := split_slash(text):
            meant: Message | str = command_meant(text, *command)
        else:
            meant = message_meant(text, await self._look_for(text))
        if isinstance(meant, str):
            self.decline(text, meant)
            return
        if isinstance(meant, NothingEntered) and (self.chips.files or self.chips.opening):
            if self.chips.files:
                notify(self, "Ask something about the picture, then press enter.")
            return
        if isinstance(meant, AttachRequested):
            self.named.take_out_found(meant.sources, "", text)
        self.post_message(meant)

    # Pictures that a text names

    async def _look_for(self, text: str) -> Named | None:
        return await self.named.look_for(text, self._known)

    @property
    def _known(self) -> set[str]:
        """The names of the attached pictures, and of those that they are of."""
        known = {file.name for file in self.chips.files}
        return known | {file.origin.name for file in self.chips.files if file.origin is not None}

    async def _names_pictures(self, text: str) -> bool:
        found = await self._look_for(text)
        return found is not None and bool(found.sources)

    async def attach_named(self, text: str, *, send: bool = False) -> None:
        """Attach the pictures that ``text`` names, by name alone from then on; ``send`` it then."""
        known, found = self._known, await self._look_for(text)
        if found is None:
            self.decline(text, SLOW_DISK)
            return
        self.area.put_first(found.words)
        self.named.take_out(
            found.sources, found.words, lambda no: self.named.look(text, known, no).words
        )
        self._sends = self.area.text if send else None
        await self.attach(found.sources)

    def hold(self) -> None:
        """Send nothing by itself when pictures are there."""
        self._sends = None

    def send_when_opened(self, text: str) -> None:
        """Put a text back, and send it when its pictures are there."""
        self.area.put_first(text)
        self._sends = self.area.text
        notify(self, "It is sent when its pictures are open; esc keeps it here.")

    @on(PromptArea.NamedWanted)
    async def _attach_wanted(self) -> None:
        text = self.area.text
        self.area.set_text("")
        await self.attach_named(text)

    @on(CompletionMenu.Toggled)
    def _show_menu_hints(self, event: CompletionMenu.Toggled) -> None:
        event.stop()
        self._show_hints()

    @on(CompletionMenu.Clicked)
    def _take_offer(self, event: CompletionMenu.Clicked) -> None:
        event.stop()
        self.area.take(event.offer, runs=True)
        self.area.focus()

    def decline(self, text: str, reason: str) -> None:
        """Put a text back that can't be sent, and say why."""
        self.area.put_first(text)
        notify(self, reason)

    @on(PromptArea.Completed)
    def _show_candidates(self, event: PromptArea.Completed) -> None:
        if event.candidates:
            self.query_one(Suggestions).show_names(event.candidates)

    @on(PromptArea.Changed)
    def _look_at_text(self, event: PromptArea.Changed) -> None:
        event.stop()  # posted for every key
        self.is_emptying = False
        self.area.look()
        self._suggest()
        self.post_message(DraftChanged())

    def _suggest(self) -> None:
        text = self.area.text
        if len(text) <= LONG and may_name_pictures(text):  # the names stay until the disk answers
            find: Callable[[], Awaitable[None]] = partial(self._find_names, text)
            self.run_worker(find, exclusive=True, group="names")
        else:
            self._names = ()
        self.query_one(Suggestions).look_at(text, self.area.pictures, self._names)

    async def _find_names(self, text: str) -> None:
        with suppress(NoMatches):  # the app ended meanwhile
            found = await self._look_for(text)
            if text == self.area.text:
                self._names = found.names if found is not None else ()
                self.query_one(Suggestions).look_at(text, self.area.pictures, self._names)

    @on(ChipBar.Changed)
    def _tell_change(self) -> None:
        self.is_emptying = False
        self._suggest()
        self.post_message(DraftChanged())
        if not self.chips.opening:
            self._tell_refusals()
            sends, self._sends = self._sends, None
            if sends is not None and sends == self.area.text:
                self.area.action_send()
