"""Draft of the open chat: composed, counted, read ahead, saved, and brought back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.timer import Timer

from assistant.values.conversation import Draft
from assistant.values.errors import ModelError
from tui import messages, requests
from tui.chat.attachments import Attachments
from tui.chat.context_counts import ContextCounter, measure_draft
from tui.chat.drafts import DraftKeeper
from tui.chat.open_chat import OpenChat, Queued
from tui.chat.part import ChatPart
from tui.chat.read_ahead import Reader
from tui.widgets import entered
from tui.widgets.chip_bar import ChipBar

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.values.events import ModelStatus
    from tui.chat.turns import Turns
    from tui.widgets.gallery import Gallery

PAUSE_S = 0.5
"""Seconds without typing before the draft is saved."""


class DraftPart(ChatPart):
    """Holds the composer; keeps what is written there, and all that is known about it."""

    def __init__(
        self,
        engine: Engine,
        chat: OpenChat,
        gallery: Gallery,
        turns: Turns,
        pictures: Sequence[str],
    ) -> None:
        """Attach ``pictures`` (paths, URLs) to the first draft."""
        super().__init__(engine, chat, id="draft")
        self._turns = turns
        self._first_pictures = pictures
        self.attachments = Attachments(engine, chat, gallery, turns)
        self.composer = self.attachments.composer
        self.keeper = DraftKeeper(self, engine, chat)
        self.counter = ContextCounter(self, engine, chat)
        self._reader = Reader(self, engine, chat)
        self._status: ModelStatus | None = None
        self._saving: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self.attachments

    # Which draft is written

    async def switch_to(self, session_id: str | None) -> None:
        """Keep the draft of the chat that is left, and show that of another."""
        left, chat, composer = self._chat.session_id, self._chat, self.composer
        stays = session_id == left or not chat.is_open
        unsent = None if stays else await composer.clear()
        if kept := chat.switch_to(session_id, unsent):
            await composer.put(kept)
        if self._saving is not None:
            self._saving.stop()
        self.keeper.typed = composer.unsent
        self.keeper.save(left)
        self.show_queue()

    async def begin(self) -> None:
        """Bring back what was not sent, and attach what the app was started with."""
        self.keeper.read()
        pictures, self._first_pictures = self._first_pictures, ()
        await self.composer.attach(pictures)

    @on(messages.DraftRead)
    async def _show_read(self, event: messages.DraftRead) -> None:
        async with self._chat.switching:
            if draft := self.keeper.take(event):
                await self.composer.put(draft)
        if self.composer.unsent != Draft(""):
            self._note_typed()  # no words of before this were saved: they might have replaced those

    @on(messages.DraftGone)
    async def _leave_sent(self, event: messages.DraftGone) -> None:
        """Empty the message that another terminal has sent; save one that was dropped there."""
        async with self._chat.switching:
            is_same = self.composer.unsent == event.draft and self.composer.edited is None
            if event.session_id != self._chat.session_id or not is_same:
                return
            self.keeper.forget(event.session_id)
            if event.is_sent:
                await self.composer.empty_at_once()
                self.tell("This message was sent in another window; up brings it back.")
            else:
                self.keeper.save(event.session_id)

    # Saving

    @on(entered.DraftChanged)
    def _note_typed(self) -> None:
        self.keeper.typed = self.composer.unsent
        self._turns.pane.welcome.set_class(bool(self.composer.chips.children), "-attached")
        if self._saving is not None:
            self._saving.stop()
        self._saving = self.set_timer(PAUSE_S, self._save)

    def _save(self) -> None:
        if self._chat.switching.locked():  # the words may be of another chat than the id
            self._saving = self.set_timer(PAUSE_S, self._save)
        else:
            self.keeper.save(self._chat.session_id)

    # The queue

    def show_queue(self) -> None:
        """Show the messages that wait in the open chat."""
        self.composer.show_queue([queued.draft for queued in self._chat.queued_here])

    async def give_back(self, *messages: Queued) -> None:
        """Put messages that were not stored back to where they were typed."""
        for message in reversed(messages):
            if message.session_id == self._chat.session_id:
                await self.composer.put(message.draft)
            else:
                self._chat.give_back(message.draft, message.session_id)
                self.keeper.save(message.session_id)

    # Counting and reading ahead

    def look(self, status: ModelStatus) -> None:
        """Have counted and read ahead what the draft has become."""
        self._status = status
        self.counter.look(self.composer.draft, self.composer.edited, status)
        self._read_ahead()

    @on(messages.ContextMeasured)
    def _show_counted(self, event: messages.ContextMeasured) -> None:
        self.counter.end(event)
        self._turns.show_left_out(event.left_out_words)

    def _read_ahead(self) -> None:
        if not self._chat.switching.locked():  # else the draft may be of another chat than the id
            self._reader.look(self.composer.draft, self.composer.edited, self._status)

    @on(messages.ReadAhead)
    def _show_seen(self, event: messages.ReadAhead) -> None:
        if self._reader.end(event):
            self.composer.chips.show_seen(event.seen)
        self._read_ahead()

    @on(ChipBar.Changed)
    def measure(self) -> None:
        """Count what the attached pictures take, and what ``#`` can refer to."""
        self._read_ahead()
        composer, session_id = self.composer, self._chat.session_id
        files, parent = composer.chips.files, self._chat.parent_of(composer.edited)
        if session_id is not None or files:
            system = self._chat.system

            def measure() -> requests.Answer:
                try:
                    return measure_draft(self._engine, session_id, files, parent, system)
                except ModelError:
                    return None  # the status line says so; a notice would hide another

            self.in_thread(requests.unless_deleted(measure))
        else:
            composer.show_pictures(())

    @on(messages.DraftMeasured)
    def _show_measured(self, event: messages.DraftMeasured) -> None:
        if event.session_id == self._chat.session_id:
            if event.files == self.composer.chips.files:  # else the draft has changed since
                self.composer.chips.show_costs(event.numbers, event.costs)
                self.composer.show_pictures(event.pictures)
            self._turns.show_summary(event.below_summary, event.summary)
