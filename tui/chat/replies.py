"""Requests for replies: send, edit, answer again, continue; messages that wait in the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from assistant.values.conversation import Draft, FinishReason, Parent, Role
from assistant.values.events import Event
from assistant.values.sampling import Parameters
from assistant.values.words import server_place
from tui.chat.open_chat import BUSY, Queued
from tui.requests import COMMAND
from tui.widgets.turn_run import RunningTurn

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from tui.chat.open_chat import OpenChat
    from tui.chat.part import Host

Ask = Callable[[], Iterator[Event]]
Start = Callable[[RunningTurn, Ask], None]


class Replies:
    """Starts one turn at a time; says why where it can't."""

    def __init__(self, host: Host, engine: Engine, chat: OpenChat, start: Start) -> None:
        self._host = host
        self._engine = engine
        self._chat = chat
        self._start = start

    def send(self, draft: Draft, edited: str | None, *, drop_draft: bool) -> None:
        """Send a message, or another version of ``edited``; while a reply runs it waits.

        ``drop_draft`` says that the stored draft is of these words.
        """
        chat, session_id = self._chat, self._chat.session_id
        queued = Queued(session_id, chat.view, draft, chat.take_system(), chat.take_schema())
        if chat.running is not None:
            chat.queue.append(queued)
        elif edited is not None and session_id is not None:
            self._start(
                RunningTurn(session_id, chat.view, draft, edited=edited),
                lambda: self._engine.edit(session_id, edited, draft, drop_draft=drop_draft),
            )
        else:
            self._send(queued, drop_draft=drop_draft)

    def send_next(self) -> None:
        """Send the message that waits longest and need not any more, if there is one."""
        if (queued := self._chat.take_next()) is not None:
            self._send(queued, drop_draft=False)

    def _send(self, message: Queued, *, drop_draft: bool) -> None:
        chat, session_id, draft = self._chat, message.session_id, message.draft
        system, schema = message.system, message.schema
        parent: str | Parent = Parent.HEAD
        if session_id is not None and session_id == chat.session_id and chat.turns:
            parent = chat.turns[-1].id  # as the user saw it, whatever another terminal did
        self._start(
            RunningTurn(session_id, message.view, draft, system, schema),
            lambda: self._engine.send(
                session_id,
                draft,
                parent=parent,
                drop_draft=drop_draft,
                system=system,
                parameters=Parameters(schema=schema) if schema else None,
            ),
        )

    def answer_again(self, turn_id: str | None = None) -> None:
        """Answer a question (of ``turn_id``, or the last one) again, or for the first time."""
        session_id, turns = self._chat.session_id, self._chat.turns
        if session_id is None or not turns:
            self._host.tell("There is no question to answer yet.")
        elif turn_id is not None or turns[-1].role is Role.ASSISTANT:
            self._resume(lambda: self._engine.regenerate(session_id, turn_id=turn_id))
        else:
            self._resume(lambda: self._engine.resume(session_id))

    def go_on(self) -> None:
        """Continue the last reply, which did not end by itself."""
        session_id, last = self._chat.session_id, self._chat.turns[-1:]
        if session_id is None or not last or last[0].role is not Role.ASSISTANT:
            self._host.tell("There is no reply at the end that could go on.")
        elif last[0].finish_reason is FinishReason.STOP:
            self._host.tell("This reply is complete: ask for more in a message.")
        else:
            self._resume(lambda: self._engine.continue_reply(session_id))

    def branch(self, turn_id: str, place: int, token: int | str) -> None:
        """Answer once more as a reply does up to ``place``, with another token there."""
        if (session_id := self._chat.session_id) is not None:
            self._resume(lambda: self._engine.branch(session_id, turn_id, place, token))

    def compare(self, model: str) -> None:
        """Have another model answer the last question too."""
        session_id = self._chat.session_id
        if session_id is None or not any(one.role is Role.ASSISTANT for one in self._chat.turns):
            self._host.refuse("There is no answer yet to compare with.")
        else:
            place = server_place(model)
            self._resume(
                lambda: self._engine.compare(session_id, model),
                compares=True,
                notice=f"This chat goes to {place}." if place else "",
            )

    def _resume(self, ask: Ask, *, compares: bool = False, notice: str = "") -> None:
        chat = self._chat
        if chat.running is not None:
            self._host.refuse(BUSY)
        else:
            self._start(
                RunningTurn(
                    chat.session_id,
                    chat.view,
                    stored=True,
                    compares=compares,
                    command=COMMAND.get(),
                    notice=notice,
                ),
                ask,
            )
