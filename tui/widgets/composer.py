"""Composer: the pictures and the words of the next message."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive

from assistant.values.conversation import Draft, PictureFile
from assistant.values.text import one_line
from assistant.values.words import joined
from tui.disk import from_disk
from tui.requests import notify
from tui.slashes import Slash, find_slash, matching_slashes, slash_without_slash, split_slash
from tui.widgets.chip_bar import ChipBar
from tui.widgets.chip_unopened import OpeningChip, Watch, refusal_words
from tui.widgets.completion import KnownPicture, may_name_pictures, mistaken_slash
from tui.widgets.completion_menu import CompletionMenu
from tui.widgets.hints import NONE, Hint, in_one_line
from tui.widgets.named_pictures import Named, NamedPictures, TakenOut
from tui.widgets.prompt_area import PromptArea
from tui.widgets.queue_bar import QueueBar
from tui.widgets.suggestions import Suggestions

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.pictures.dropped import Dropped
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
SLOW_DISK = "The disk that the message names does not answer: take the path out, or try it later."
MISSING = "check the path, or write more than it to send it as words."
MOST_TAKEN_OUT = 100
"""Texts of which it is remembered how they stood before pictures were taken out."""
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
    hints: reactive[tuple[Hint, ...]] = reactive(())
    """Keys and words of what has the focus, while that is not the text."""
    hinted: reactive[Content] = reactive(NONE)
    """Subject of ``hints``, in a word."""
    more_below: reactive[bool] = reactive(False)
    """The user reads further up in the chat."""

    @dataclass
    class DraftChanged(Message):
        """Words or pictures were changed."""

    @dataclass
    class Sent(Message):
        """The text, of which the composer has let go, shall be sent with the pictures."""

        text: str

    @dataclass
    class AttachRequested(Message):
        """Paths or URLs were dropped, pasted or typed."""

        sources: tuple[str, ...]

    @dataclass
    class PagesWanted(Message):
        """A document has more pages than are attached unasked."""

        source: str

    @dataclass
    class PasswordWanted(Message):
        """A document needs a password."""

        source: str

    @dataclass
    class CommandEntered(Message):
        """A slash command was typed."""

        command: Slash
        argument: str
        text: str = ""
        """The whole line, as it was typed."""

    @dataclass
    class NothingEntered(Message):
        """Enter was pressed with no text and no picture."""

    @dataclass
    class CommandDoubted(Message):
        """A message of one word was to be sent, which is a command's name."""

        text: str
        command: Slash

    @dataclass
    class PicturesNamed(Message):
        """A message was to be sent that names pictures which are not attached."""

        text: str
        names: tuple[str, ...]

    @dataclass
    class LeaveWanted(Message):
        """The app shall end, after everything that the composer posted before this."""

    def __init__(self, engine: Engine, gallery: Gallery) -> None:
        super().__init__(id="composer")
        self._engine = engine
        self._named = NamedPictures(engine.pictures.find_dropped)
        self._names: tuple[str, ...] = ()
        """Names of pictures that the text names and that are not attached."""
        self._gallery = gallery
        self._aside: Draft | None = None
        self._emptied = Draft("")
        self._refused: list[OpeningChip.Refused] = []
        self._taken_out = deque[TakenOut](maxlen=MOST_TAKEN_OUT)
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
        yield PromptArea(self._find_dropped, self._names_pictures, PLACEHOLDER, menu)
        yield menu
        yield Suggestions()

    def on_mount(self) -> None:
        if self.typed_ahead:
            self.area.paste_text(self.typed_ahead)

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

    def watch_edited(self) -> None:
        self._show_title()

    def watch_more_below(self) -> None:
        self._show_title()

    def _show_title(self) -> None:
        self.border_title = EDITING if self.edited else MORE_BELOW if self.more_below else None

    def watch_busy(self, busy: bool) -> None:
        self.set_class(busy, "busy")
        self._show_hints()

    def watch_has_notice(self) -> None:
        self._show_hints()

    def watch_is_emptying(self) -> None:
        self._show_hints()

    def watch_hints(self) -> None:
        self._show_hints()

    def watch_hinted(self) -> None:
        self._show_hints()

    def on_resize(self) -> None:
        self._show_hints()

    def _show_hints(self) -> None:
        """Show what keys do at the lower edge, in one line."""
        own: tuple[Hint, ...] = NOTICE_HINTS if self.has_notice else READY_HINTS
        own = EMPTY_HINTS if self.is_emptying else BUSY_HINTS if self.busy else own
        own = MENU_HINTS if self.area.menu.is_open else own
        about = self.hinted if self.hints else NONE
        self.border_subtitle = in_one_line(self.hints or own, self.outer_size.width - FRAME, about)

    def quit_after_typing(self) -> None:
        """Post that the app shall end, behind the letters that were typed so far."""
        self.area.call_later(self.call_later, partial(self.post_message, self.LeaveWanted()))

    # Pictures

    async def attach(self, sources: Sequence[str]) -> None:
        """Attach the pictures at these paths and URLs."""
        for source in sources:
            await self.chips.open(source, partial(self._engine.pictures.open_each, source))

    def take_out(
        self, sources: Sequence[str], words: str, with_refused: Callable[[Collection[str]], str]
    ) -> None:
        """Remember what stood for pictures in the text, which is put back where one is refused."""
        self._taken_out.append(TakenOut(sources, words, with_refused))

    async def keep_as_text(self, source: str) -> None:
        """Put the path of a picture that is not attached back to where it was taken out."""
        mine = [one for one in self._taken_out if source in one.sources]
        if part := next((one for one in reversed(mine) if source not in one.refused), None):
            part.refused.add(source)
            words = await from_disk(partial(part.with_refused, frozenset(part.refused)))
            if words is not None:
                self.area.exchange(part.words, words)
                part.words = words

    async def named(self, argument: str) -> list[str]:
        """Return the paths and URLs in ``argument``: all of its words if any surely is one."""
        return await from_disk(partial(self._named.listed, argument)) or [argument]

    async def _find_dropped(self, text: str) -> Dropped:
        """Find the pictures that a paste names; none where the disk hangs."""
        from assistant.pictures.dropped import Dropped  # its libraries are imported only now

        return await from_disk(partial(self._named.find, text, ())) or Dropped((), text)

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
            self.post_message(self.PagesWanted(event.chip.name_shown))
            return
        if event.code == "password":
            self.post_message(self.PasswordWanted(event.chip.name_shown))
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
            find = self._named.find
            self.take_out(event.sources, event.words, lambda no: find(event.text, no).words)
        self.post_message(self.AttachRequested(event.sources))

    @on(PromptArea.BackspacedAtStart)
    async def _take_last_chip(self) -> None:
        await self.chips.remove_last()

    # Text

    @on(PromptArea.Submitted)
    async def _read_text(self, event: PromptArea.Submitted) -> None:
        text = event.text
        if command := split_slash(text):
            self._run(text, *command)
        elif (found := await self._look_for(text)) is None:
            self.decline(text, SLOW_DISK)
        elif found.alone:
            self.take_out(found.alone, "", lambda no: self._named.find(text, no).words)
            self.post_message(self.AttachRequested(found.alone))
        elif found.missing:
            self.decline(text, f"There is no file {one_line(found.missing, 60)}: {MISSING}")
        elif slash := slash_without_slash(text):
            self.post_message(self.CommandDoubted(text, slash))
        elif found.sources:
            self.post_message(self.PicturesNamed(text, found.names))
        elif text.strip():
            self.post_message(self.Sent(text))
        elif self.chips.files:
            notify(self, "Ask something about the picture, then press enter.")
        elif not self.chips.opening:
            self.post_message(self.NothingEntered())

    def _run(self, text: str, name: str, argument: str) -> None:
        command, matches = find_slash(name), matching_slashes(name)
        if command is None and len(matches) == 1:
            command = matches[0]
        if command is not None and argument and not command.argument:
            self.decline(text, f"{name} takes nothing after it: take the words out, then enter.")
            return
        if command is not None:
            self.post_message(self.CommandEntered(command, argument, text))
            return
        words = f"There is no command {one_line(name, 30)}"
        if matches:
            several = ", ".join(one.name for one in matches)
            self.decline(text, f"{words}; these begin so: {several}.")
        elif slash := mistaken_slash(name):
            self.decline(text, f"{words}. Did you mean {slash.name}? tab takes it.")
        else:
            self.decline(text, f"{words}; F1 lists them all.")

    # Pictures that a text names

    async def _look_for(self, text: str) -> Named | None:
        """Look for the pictures that a message names and that aren't attached.

        None where the disk does not answer.
        """
        if not may_name_pictures(text):
            return Named(text)
        return await from_disk(partial(self._named.look, text, self._known))

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
        self.take_out(
            found.sources, found.words, lambda no: self._named.look(text, known, no).words
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
        self.post_message(self.DraftChanged())

    def _suggest(self) -> None:
        text = self.area.text
        if len(text) <= LONG and may_name_pictures(text):  # the names stay until the disk answers
            find: Callable[[], Awaitable[None]] = partial(self._find_names, text)
            self.run_worker(find, exclusive=True, group="names")
        else:
            self._names = ()
        self.query_one(Suggestions).look_at(text, self.area.pictures, self._names)

    async def _find_names(self, text: str) -> None:
        found = await self._look_for(text)
        if text == self.area.text:
            self._names = found.names if found is not None else ()
            self.query_one(Suggestions).look_at(text, self.area.pictures, self._names)

    @on(ChipBar.Changed)
    def _tell_change(self) -> None:
        self.is_emptying = False
        self._suggest()
        self.post_message(self.DraftChanged())
        if not self.chips.opening:
            self._tell_refusals()
            sends, self._sends = self._sends, None
            if sends is not None and sends == self.area.text:
                self.area.action_send()
