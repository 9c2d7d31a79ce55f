"""The composer: the pictures and the words of the next message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import reactive

from assistant.conversation import Draft
from assistant.plain_text import one_line
from tui.commands import Slash, find_slash, split_slash
from tui.completion import KnownPicture
from tui.text import joined
from tui.widgets.chip_bar import ChipBar
from tui.widgets.prompt_area import ParseDropped, PromptArea
from tui.widgets.queue_bar import QueueBar
from tui.widgets.suggestions import Suggestions

PLACEHOLDER = "Ask about a picture: drop one here, or ctrl+o"
READY_HINT = "enter sends · ctrl+j new line · / commands"
BUSY_HINT = "enter queues · esc stops the reply"
EDITING = "another version of your message · esc leaves it as it was"


class Composer(Vertical):
    """Holds the draft; says what the person wants and leaves the doing to the screen."""

    busy: reactive[bool] = reactive(False)
    """A reply is being written."""
    edited: reactive[str | None] = reactive(None)
    """The id of the message of which another version is being written."""

    @dataclass
    class DraftChanged(Message):
        """Words or pictures were changed."""

    @dataclass
    class Sent(Message):
        """The draft shall be sent. The composer keeps it until :meth:`Composer.clear`."""

        draft: Draft

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

    async def clear(self) -> None:
        """Empty the composer: its draft is kept elsewhere."""
        self.edited, self._aside = None, None
        await self.take(self.draft)
        await self.chips.give_up_opening()

    async def begin_edit(self, turn_id: str, draft: Draft) -> None:
        """Write another version of a message; what is being written is put aside meanwhile."""
        if self.edited is None:
            self._aside = self.draft
        await self.take(self.draft)
        await self.put(draft)
        self.edited = turn_id

    async def end_edit(self) -> None:
        """Go back to what was being written."""
        aside = self._aside or Draft("")
        await self.clear()
        await self.put(aside)

    def show_queue(self, drafts: Sequence[Draft]) -> None:
        """Show the messages that wait until the reply is over."""
        self.query_one(QueueBar).show(drafts)
        self.area.has_queue = bool(drafts)

    def show_pictures(self, pictures: Sequence[KnownPicture]) -> None:
        """Take these for what ``#`` can refer to."""
        self.area.pictures = tuple(pictures)
        self.query_one(Suggestions).look_at(self.area.text, pictures)

    async def take(self, draft: Draft) -> None:
        """Remove a draft that was sent; what was typed since then stays."""
        self.area.take(draft.text)
        await self.chips.take(draft.pictures)

    async def put(self, draft: Draft) -> None:
        """Put a draft back in front of whatever was typed since."""
        typed = self.draft
        await self.chips.take(typed.pictures)
        await self.chips.add(*draft.pictures, *typed.pictures)
        texts = [text for text in (draft.text, typed.text) if text.strip()]
        self.area.set_text("\n".join(texts))

    def watch_edited(self, edited: str | None) -> None:
        """Say above the text that it is another version of something."""
        self.border_title = EDITING if edited else None

    def watch_busy(self, busy: bool) -> None:
        """Say below the text what enter or esc will do."""
        self.border_subtitle = BUSY_HINT if busy else READY_HINT
        self.set_class(busy, "busy")

    @on(PromptArea.Submitted)
    def _read_text(self, event: PromptArea.Submitted) -> None:
        event.stop()
        if command := split_slash(event.text):
            self._run(event.text, *command)
        elif sources := self._parse_dropped(event.text):
            self.area.take(event.text)
            self.post_message(self.AttachRequested(tuple(sources)))
        elif self.chips.opening:
            self.post_message(self.Declined("A picture is still being opened; send again then."))
        elif event.text.strip():
            self.post_message(self.Sent(Draft(event.text, self.chips.files)))
        elif self.chips.files:
            self.post_message(self.Declined("Ask something about the picture, then press enter."))

    def _run(self, text: str, name: str, argument: str) -> None:
        command = find_slash(name)
        if command is None:
            reason = f"There is no command {one_line(name, 30)}; F1 lists them all."
            self.post_message(self.Declined(reason))
        else:
            self.area.take(text)
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
