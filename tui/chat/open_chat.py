"""State of the open chat: its id, turns, selection, drafts, queue, and the reply being written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from assistant.values.conversation import Draft, Parent, Turn
from assistant.values.words import joined
from tui.widgets.turn_run import RunningTurn

BUSY = "A reply is still being written; wait for it, or stop it with esc."


@dataclass
class Queued:
    """A message that waits for the running reply; ``view`` tells apart new chats without an id."""

    session_id: str | None
    view: int
    draft: Draft
    system: str | None = None
    """The system message of a new chat, where the user gave one."""
    schema: str = ""
    """The schema that the answers of a new chat obey."""


def _is_of_one(message: Queued, running: RunningTurn) -> bool:
    """Return whether a message and a reply are of one chat."""
    is_new = message.session_id is None and message.view == running.view
    return message.session_id == running.session_id and (message.session_id is not None or is_new)


class OpenChat:
    """Shared by all parts of the chat screen; knows no widget."""

    def __init__(
        self, wanted: str | None = None, at_once: Callable[[], bool] = lambda: False
    ) -> None:
        """``at_once`` says whether chats are answered at once: by a server, not by one worker."""
        self.at_once = at_once
        self.session_id: str | None = None
        """The open session; None while it has no message."""
        self.wanted = wanted
        """The session that was asked for last; None: a new chat."""
        self.is_open = wanted is None
        """Whether a chat is on the screen: not while the app reads the first one. What is typed and
        attached until then belongs to it."""
        self.view = 0
        """Counts switches: tells two new chats apart, neither of which has an id."""
        self.model: str | None = None
        """The model that the open session is held with, as far as it is known."""
        self.system: str | None = None
        """The system message that the new chat will get instead of that of the settings."""
        self.schema = ""
        """The schema that the answers of the new chat will obey."""
        self.turns: list[Turn] = []
        """The branch on the screen, oldest first. The turn window changes this list in place."""
        self.selected: str | None = None
        """The id of the selected turn."""
        self.runs: list[RunningTurn] = []
        """The replies being written, of whatever chats."""
        self.ended = 0
        """Turns that are over: an answer of the store from before the last one is stale."""
        self.queue: list[Queued] = []
        self.switching = asyncio.Lock()
        """Held while the open chat is replaced or changed: keys, timers and messages come from
        different tasks, and ``session_id`` must be that of ``turns``."""
        self._left: dict[str | None, Draft] = {}

    @property
    def running(self) -> RunningTurn | None:
        """The reply that a message of the open chat waits for: its own, or any chat's."""
        of_these = filter(self.is_here, self.runs) if self.at_once() else iter(self.runs)
        return next(of_these, None)

    def is_here(self, one: RunningTurn | Queued) -> bool:
        """Return whether a reply or a message is of the open chat."""
        is_new = one.session_id is None and one.view == self.view
        return one.session_id == self.session_id and (one.session_id is not None or is_new)

    def run_of(self, session_id: str) -> RunningTurn | None:
        """Return the reply of this session that is being written."""
        return next((one for one in self.runs if one.session_id == session_id), None)

    def answers(self, session_id: str) -> bool:
        """Return whether a reply of this session is being written."""
        return self.run_of(session_id) is not None

    def is_stale(self, session_id: str, ended: int, end: str | None) -> bool:
        """Return whether this chat has changed since it was read up to the turn ``end``."""
        return (
            session_id != self.session_id
            or ended != self.ended
            or self.answers(session_id)
            or end not in (None, self.last_turn_id)  # the user went to another branch
        )

    def other_model(self, answering: str) -> str:
        """Return the model of the open session if it is not ``answering``, else ""."""
        return self.model if self.model and self.model != answering else ""

    # Turns

    @property
    def selected_turn(self) -> Turn | None:
        """The selected turn, if it is on this branch."""
        return next((turn for turn in self.turns if turn.id == self.selected), None)

    @property
    def last_turn_id(self) -> str | None:
        """The id of the last turn."""
        return self.turns[-1].id if self.turns else None

    @property
    def pictures(self) -> int:
        """The number of pictures in the chat."""
        return sum(len(turn.pictures) for turn in self.turns)

    def parent_of(self, edited: str | None) -> str | Parent | None:
        """Return the parent of the draft: the head, or the parent of the message being edited."""
        return next((turn.parent for turn in self.turns if turn.id == edited), Parent.HEAD)

    # Drafts

    def switch_to(self, session_id: str | None, unsent: Draft | None) -> Draft | None:
        """Open another session; keep ``unsent`` for the one before, return what was kept for it."""
        if unsent is not None:
            self._left[self.session_id] = unsent
        if session_id != self.session_id:
            self.model = None
        self.session_id = session_id
        self.is_open = True
        self.view += 1
        return None if unsent is None else self._left.pop(session_id, None)

    def left_in(self, session_id: str | None) -> Draft:
        """Return what was typed and not sent in a session that is not open."""
        return self._left.get(session_id, Draft(""))

    def give_back(self, draft: Draft, session_id: str | None) -> None:
        """Put what was not stored in front of the draft of a session that is not open."""
        self._left[session_id] = joined(draft, self.left_in(session_id))

    # The queue

    @property
    def queued_here(self) -> list[Queued]:
        """The messages that wait in the open chat, the next one first."""
        return [queued for queued in self.queue if self.is_here(queued)]

    def queued_drafts(self) -> dict[str | None, Draft]:
        """Return what waits as one draft for each session."""
        drafts: dict[str | None, Draft] = {}
        for queued in self.queue:
            drafts[queued.session_id] = joined(drafts.get(queued.session_id), queued.draft)
        return drafts

    def take_queue(self, running: RunningTurn) -> list[Queued]:
        """Return what waits for a reply, and let it wait no more."""
        taken = [one for one in self.queue if not self.at_once() or _is_of_one(one, running)]
        self.queue = [one for one in self.queue if one not in taken]
        return taken

    def take_next(self) -> Queued | None:
        """Return the message that waits longest and need not any more."""
        for one in self.queue:
            if not any(not self.at_once() or _is_of_one(one, run) for run in self.runs):
                self.queue.remove(one)
                return one
        return None

    def take_system(self) -> str | None:
        """Return the system message for a new chat, which goes with its first message."""
        if self.session_id is not None:
            return None
        system, self.system = self.system, None
        return system

    def take_schema(self) -> str:
        """Return the schema for a new chat, which goes with its first message."""
        if self.session_id is not None:
            return ""
        schema, self.schema = self.schema, ""
        return schema

    def got_id(self, session_id: str, view: int) -> bool:
        """Note the id of the new chat of ``view``; return whether that chat is on the screen."""
        for queued in self.queue:
            if queued.session_id is None and queued.view == view:
                queued.session_id = session_id
        is_open = self.session_id is None and self.view == view
        if is_open:
            self.session_id = session_id
        return is_open
