"""The composer: the pictures and the words of the next message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import reactive

from assistant.values.conversation import Draft
from assistant.values.text import one_line
from assistant.values.words import joined
from tui.keys import Slash, find_slash, split_slash
from tui.widgets.chip_bar import ChipBar
from tui.widgets.completion import KnownPicture
from tui.widgets.prompt_area import ParseDropped, PromptArea
from tui.widgets.queue_bar import QueueBar
from tui.widgets.suggestions import Suggestions

PLACEHOLDER = "Ask about a picture: drop one here, or ctrl+o"
READY_HINT = "enter sends · ctrl+j new line · / commands"
BUSY_HINT = "enter queues · esc stops the reply"
EDITING = "another version of your message · esc leaves it as it was"
MORE_BELOW = "↓ the chat goes on below · ctrl+end"


class Composer(Vertical):
    """Holds the draft; says what the person wants and leaves the doing to the screen."""

    busy: reactive[bool] = reactive(False)
    """A reply is being written."""
    edited: reactive[str | None] = reactive(None)
    """The id of the message of which another version is being written."""
    more_below: reactive[bool] = reactive(False)
    """One reads further up in the chat."""

    @dataclass
    class DraftChanged(Message):
        """Words or pictures were changed."""

    @dataclass
    class Sent(Message):
        """The text, of which the composer has let go, shall be sent with the pictures."""

        text: str

    @dataclass
    class AttachRequested(Message):
        """Paths or URLs were dropped, typed or named with ``/attach``."""

        sources: tuple[str, ...]

    @dataclass
    class CommandEntered(Message):
        """A slash command was typed."""

        command: Slash
        argument: str

    @dataclass
    class LeaveWanted(Message):
        """The app shall end, after everything that the composer told before this."""

    @dataclass
    class Declined(Message):
        """What was typed can't be done; ``reason`` is one plain sentence, the text stays."""

        reason: str

    def __init__(self, parse_dropped: ParseDropped) -> None:
        super().__init__()
        self._parse_dropped = parse_dropped
        self._aside: Draft | None = None

    def compose(self) -> ComposeResult:
        """What waits, the chips, the text, what can be typed next."""
        yield QueueBar()
        yield ChipBar()
        yield PromptArea(self._parse_dropped, PLACEHOLDER)
        yield Suggestions()

    @property
    def area(self) -> PromptArea:
        """The text area."""
        return self.query_one(PromptArea)

    @property
    def chips(self) -> ChipBar:
        """The attached pictures."""
        return self.query_one(ChipBar)

    @property
    def draft(self) -> Draft:
        """What would be sent now."""
        return Draft(self.area.text, self.chips.files)

    @property
    def unsent(self) -> Draft:
        """The draft, and behind it the one that was put aside to edit a message."""
        return self.draft if self._aside is None else joined(self.draft, self._aside)

    async def clear(self) -> Draft:
        """Empty the composer and return what was in it, to be kept elsewhere."""
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
        """The other version was sent: go back to what was being written before it."""
        aside, self._aside, self.edited = self._aside, None, None
        if aside is not None:
            await self.put(aside)

    async def give_up_edit(self) -> None:
        """Leave the message as it was, and go back to what was being written."""
        self.area.set_text("")
        await self.chips.take(self.chips.files)
        await self.end_edit()

    def show_queue(self, drafts: Sequence[Draft]) -> None:
        """Show the messages that wait until the reply is over."""
        self.query_one(QueueBar).show(drafts)
        self.area.has_queue = bool(drafts)

    def show_pictures(self, pictures: Sequence[KnownPicture]) -> None:
        """Take these for what ``#`` can refer to."""
        self.area.pictures = tuple(pictures)
        self.query_one(Suggestions).look_at(self.area.text, pictures)

    async def put(self, draft: Draft) -> None:
        """Put a draft back in front of whatever was typed since."""
        await self.chips.put_first(*draft.pictures)
        self.area.put_first(draft.text)

    def watch_edited(self, edited: str | None) -> None:
        """Say above the text that it is another version of something."""
        self._tell_above()

    def watch_more_below(self, more_below: bool) -> None:
        """Say above the text that the chat goes on."""
        self._tell_above()

    def _tell_above(self) -> None:
        self.border_title = EDITING if self.edited else MORE_BELOW if self.more_below else None

    def watch_busy(self, busy: bool) -> None:
        """Say below the text what enter or esc will do."""
        self.border_subtitle = BUSY_HINT if busy else READY_HINT
        self.set_class(busy, "busy")

    @on(PromptArea.Submitted)
    def _read_text(self, event: PromptArea.Submitted) -> None:
        event.stop()
        text = event.text
        if command := split_slash(text):
            self._run(text, *command)
        elif sources := self._parse_dropped(text):
            self.post_message(self.AttachRequested(tuple(sources)))
        elif text.strip():
            self.post_message(self.Sent(text))
        elif self.chips.files:
            self.post_message(self.Declined("Ask something about the picture, then press enter."))

    def _run(self, text: str, name: str, argument: str) -> None:
        command = find_slash(name)
        if command is None:
            self.area.put_first(text)
            reason = f"There is no command {one_line(name, 30)}; F1 lists them all."
            self.post_message(self.Declined(reason))
        else:
            self.post_message(self.CommandEntered(command, argument))

    @on(PromptArea.FilesDropped)
    def _pass_on_files(self, event: PromptArea.FilesDropped) -> None:
        event.stop()
        self.post_message(self.AttachRequested(event.sources))

    @on(PromptArea.BackspacedAtStart)
    async def _take_last_chip(self, event: PromptArea.BackspacedAtStart) -> None:
        event.stop()
        await self.chips.remove_last()

    @on(PromptArea.Completed)
    def _show_candidates(self, event: PromptArea.Completed) -> None:
        event.stop()
        if event.candidates:
            self.query_one(Suggestions).show_names(event.candidates)

    @on(PromptArea.Changed)
    def _look_at_text(self, event: PromptArea.Changed) -> None:
        event.stop()
        area = self.area
        self.query_one(Suggestions).look_at(area.text, area.pictures)
        self.post_message(self.DraftChanged())

    @on(ChipBar.Changed)
    def _tell_change(self) -> None:
        self.post_message(self.DraftChanged())
