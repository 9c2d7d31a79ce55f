"""Pane of the open chat: the welcome while it is empty, else the turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Container
from textual.reactive import reactive

from assistant.values.conversation import Turn
from assistant.values.events import (
    Event,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
    ThoughtGrew,
    UserTurnStored,
)
from tui.widgets.chat_view import ChatView
from tui.widgets.gallery import Gallery
from tui.widgets.picture_view import PictureView
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.turn_run import RunningTurn, progress_words
from tui.widgets.welcome import Welcome


class ChatPane(Container):
    """Knows the turns of the open chat and shows what happens to the last one."""

    is_demo: reactive[bool] = reactive(False)
    """Whether the bundled demo model answers."""

    def __init__(self, gallery: Gallery, turns: list[Turn]) -> None:
        """Show ``turns``, those of the open chat; the list is changed in place."""
        super().__init__()
        self.turns = turns
        self.chat = ChatView(gallery, turns)
        self.welcome = Welcome()
        self._live: ReplyTurn | None = None

    def compose(self) -> ComposeResult:
        yield self.welcome.data_bind(ChatPane.is_demo)
        self.chat.display = False
        yield self.chat

    def picture_in_sight(self) -> int:
        """Return the number of the last picture on the screen, or else of the chat; 0: none."""
        views = [view for view in self.query(PictureView) if view.region.overlaps(self.region)]
        pictures = [view.picture for view in views]
        pictures = pictures or [picture for turn in self.turns for picture in turn.pictures]
        return pictures[-1].number if pictures else 0

    async def show(self, turns: Sequence[Turn], running: RunningTurn | None) -> None:
        """Show another chat; ``running`` is its reply that is being written right now."""
        self._live = None
        shown = list(turns)
        reply = running.reply if running is not None else None
        asked = running.asked if running is not None else None
        if asked is not None and all(turn.id != asked.id for turn in turns):
            shown.append(asked)  # it was stored after the chat was read
        if reply is not None:
            shown = [turn for turn in shown if turn.id != reply.id]
        await self.chat.show(shown, answering=running is not None)
        if running is not None and reply is not None:
            self._live = await self.chat.add_live_reply(reply)
            if running.thinking_since is not None:
                self._live.think("".join(running.thought), since=running.thinking_since)
            self._live.grow("".join([reply.text, *running.text]))
        self._face()

    async def update(self, turns: Sequence[Turn]) -> None:
        """Show these turns of the open chat; those that did not change stay where they are."""
        await self.chat.update(turns)
        self._face()

    async def apply(self, event: Event, running: RunningTurn) -> None:
        """Show an event of the reply that is being written."""
        match event:
            case UserTurnStored(turn=turn):
                await self.chat.cut_below(turn.parent)
                await self.chat.add_user_turn(turn)
                self._face()
            case ReplyStarted(turn=turn):
                await self.chat.cut_below(turn.parent)
                self._live = await self.chat.add_live_reply(turn)
                self._live.grow(turn.text)  # of one that goes on there is text already
            case Progressed():
                if self._live is not None and not running.text:
                    self._live.show_progress(progress_words(event))
            case ThoughtGrew(text=text):
                if self._live is not None:
                    self._live.think(text)
            case ReplyGrew(text=text):
                if self._live is not None:
                    self._live.grow(text)
            case ReplyEnded(turn=turn, unstored=unstored):
                if unstored:  # as the database has it: it is replaced by what is stored later
                    turn = replace(turn, finish_reason=None)
                if self._live is not None:
                    self._live.end(turn, unstored)
                    self.chat.end_live_reply(turn)
                self._live = None
            case ReplyFailed(message=message, turn=partial):
                await self.fail(message, partial)

    async def fail(self, message: str, partial: Turn | None = None) -> None:
        """Show one plain sentence where the reply would be; what was written of it stays."""
        live, self._live = self._live, None
        if live is not None:
            live.fail(partial, message)
            self.chat.end_live_reply(partial or live.turn)
        else:
            await self.chat.add_failure(message)

    def _face(self) -> None:
        self.welcome.display = not self.turns
        self.chat.display = bool(self.turns)
