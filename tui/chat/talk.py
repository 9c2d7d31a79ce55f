"""What a person says and has answered: one turn at a time, the next ones wait in a queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.values.context import ContextReport
from assistant.values.conversation import Draft, Parent, Role
from assistant.values.events import ContextPlanned, Event, ReplyEnded, UserTurnStored
from assistant.values.words import counted, joined
from tui.chat.turn_runner import TurnRunner
from tui.widgets.chat_pane import ChatPane
from tui.widgets.composer import Composer
from tui.widgets.running_turn import RunningTurn
from tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from assistant.engine import Engine
    from tui.chat.screen import ChatScreen


@dataclass
class Queued:
    """A message that waits; ``view`` tells new chats apart, which have no id yet."""

    session_id: str | None
    view: int
    draft: Draft


class Talk:
    """Sends, answers again, goes on, stops; tells the widgets what happens."""

    def __init__(self, screen: ChatScreen, engine: Engine) -> None:
        self._screen = screen
        self._engine = engine
        self._queue: list[Queued] = []
        self.runner = TurnRunner(screen, screen.switching, self._happened, self._ended)

    # What a person wants

    async def send(self, text: str) -> None:
        """Send a message, or the other version of one; while a reply runs it waits."""
        composer = self._composer
        edited, session_id = composer.edited, self._screen.session_id
        if composer.chips.opening:
            self._decline(text, "A picture is still being opened; send again then.")
            return
        if self.runner.running is not None and edited is not None:
            words = "A reply is still being written; stop it with esc, then send again."
            self._decline(text, words)
            return
        draft = Draft(text, composer.chips.files)
        await composer.chips.take(draft.pictures)
        composer.area.prompts.add(text)
        if self.runner.running is not None:
            self._queue.append(Queued(session_id, self._screen.views, draft))
            self.show_queue()
        elif edited is not None and session_id is not None:
            await composer.end_edit()
            running = RunningTurn(session_id, self._screen.views, draft, edited=edited)
            self._start(
                running, lambda: self._engine.edit(session_id, edited, draft, drop_draft=True)
            )
        else:
            self._send(session_id, self._screen.views, draft, drop_draft=True)

    def _decline(self, text: str, why: str) -> None:
        self._composer.area.put_first(text)
        self._screen.tell(why)

    def answer_again(self, turn_id: str | None = None) -> None:
        """Answer a question (of ``turn_id``, or the last one) again, or for the first time."""
        session_id, turns = self._screen.session_id, self._pane.turns
        if session_id is None or not turns:
            self._screen.tell("There is no question to answer yet.")
        elif not self._is_busy():
            again = turn_id is not None or turns[-1].role is Role.ASSISTANT
            running = RunningTurn(session_id, self._screen.views, stored=True)
            if again:
                ask = lambda: self._engine.regenerate(session_id, turn_id=turn_id)  # noqa: E731
            else:
                ask = lambda: self._engine.resume(session_id)  # noqa: E731
            self._start(running, ask)

    def go_on(self) -> None:
        """Let the last reply, which did not end by itself, go on."""
        session_id = self._screen.session_id
        if session_id is None:
            self._screen.tell("There is no reply yet that could go on.")
        elif not self._is_busy():
            running = RunningTurn(session_id, self._screen.views, stored=True)
            self._start(running, lambda: self._engine.continue_reply(session_id))

    async def stop(self) -> None:
        """End the running reply; what waits goes back into the composer."""
        if self.runner.running is not None:
            self._engine.stop()
            self._status.work = "stopping …"
            waiting = self._let_go()
            async with self._screen.switching:
                await self._give_back(waiting)

    async def take_back(self) -> None:
        """Put the message that was queued last back into the composer."""
        mine = self._waiting_here()
        if mine:
            self._queue.remove(mine[-1])
            self.show_queue()
            await self._composer.put(mine[-1].draft)

    def show_queue(self) -> None:
        """Show what waits in the open chat."""
        self._composer.show_queue([queued.draft for queued in self._waiting_here()])

    def unsent(self) -> dict[str | None, Draft]:
        """What waits, by session: to be kept as drafts when the app ends."""
        drafts: dict[str | None, Draft] = {}
        for queued in self._queue:
            before = drafts.get(queued.session_id)
            drafts[queued.session_id] = joined(before, queued.draft)
        return drafts

    # How it goes

    def _send(self, session_id: str | None, view: int, draft: Draft, *, drop_draft: bool) -> None:
        parent: str | Parent = Parent.HEAD
        if session_id is not None and session_id == self._screen.session_id and self._pane.turns:
            parent = self._pane.turns[-1].id  # what the person saw, whatever another terminal did
        running = RunningTurn(session_id, view, draft)
        self._start(
            running,
            lambda: self._engine.send(session_id, draft, parent=parent, drop_draft=drop_draft),
        )

    def _start(self, running: RunningTurn, ask: Callable[[], Iterator[Event]]) -> None:
        self._composer.busy = True
        self._status.work = "sending …"

        def first() -> Iterator[Event]:
            self._screen.summariser.make_way()
            yield from ask()

        self.runner.start(running, first)

    async def _happened(self, running: RunningTurn, event: Event) -> None:
        screen = self._screen
        if isinstance(event, UserTurnStored):
            for queued in self._queue:
                if queued.session_id is None and queued.view == running.view:
                    queued.session_id = event.session_id
            if screen.session_id is None and running.view == screen.views:
                screen.got_its_id(event.session_id)
            screen.was_sent(event.session_id)
            screen.list_sessions()
        if isinstance(event, ContextPlanned):
            self._tell_lowered(event.context)
        shown = running.session_id == screen.session_id
        if shown:
            await self._pane.apply(event, running)
        if shown or not isinstance(event, ReplyEnded):  # the figures belong to the open chat
            self._status.apply(event)

    async def _ended(self, running: RunningTurn, error: str) -> None:
        screen = self._screen
        self._composer.busy = False
        self._status.work = ""
        if error:
            screen.tell(error, error=True)
            if not running.stored and running.draft is not None:
                await screen.give_back(running.draft, running.session_id)
                if running.edited and running.session_id == screen.session_id:
                    self._composer.edited = running.edited
            elif running.session_id == screen.session_id:
                await self._pane.fail(error)
        screen.list_sessions()
        if error or running.failed or running.stopped:
            await self._give_back(self._let_go())
        elif self._queue:
            queued = self._queue.pop(0)
            self.show_queue()
            self._send(queued.session_id, queued.view, queued.draft, drop_draft=False)
        screen.turn_is_over()

    def _let_go(self) -> list[Queued]:
        """Nothing that waits is sent any more."""
        queue, self._queue = self._queue, []
        self.show_queue()
        return queue

    async def _give_back(self, queue: list[Queued]) -> None:
        for queued in reversed(queue):
            await self._screen.give_back(queued.draft, queued.session_id)

    def _tell_lowered(self, context: ContextReport) -> None:
        for cost in context.lowered:
            self._screen.tell(
                f"There is no room to see picture {cost.picture.number} in full: "
                f"the model looks at it in {counted(cost.num_crops, 'crop')}."
            )

    def _waiting_here(self) -> list[Queued]:
        here = (self._screen.session_id, self._screen.views)
        return [
            queued
            for queued in self._queue
            if queued.session_id == here[0] and (queued.session_id or queued.view == here[1])
        ]

    def _is_busy(self) -> bool:
        busy = self.runner.running is not None
        if busy:
            self._screen.tell("A reply is still being written; wait for it, or stop it with esc.")
        return busy

    @property
    def _composer(self) -> Composer:
        return self._screen.query_one(Composer)

    @property
    def _pane(self) -> ChatPane:
        return self._screen.query_one(ChatPane)

    @property
    def _status(self) -> StatusLine:
        return self._screen.query_one(StatusLine)
