"""Runs one turn at a time: asked in a thread, shown at the pace that the screen can paint."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter, thread_time

from textual.screen import Screen

from assistant.values.events import Event
from tui.widgets.feed import TurnOver, next_interval
from tui.widgets.running_turn import RunningTurn

Happened = Callable[[RunningTurn, Event], Awaitable[None]]
Ended = Callable[[RunningTurn, str], Awaitable[None]]

THRESHOLDS = gc.get_threshold()
NEVER = 1_000_000
"""The third threshold while a reply is written: a full collection, over all that there is,
stops everything for 20 to 100 ms. Young objects are collected as ever."""


class TurnRunner:
    """Empties the feed of the running turn on the screen's own thread.

    ``happened`` is awaited for every event, ``ended`` once, with one sentence
    where the engine refused and "" otherwise; both while ``switching`` is held, so that
    the chat that is open stays open meanwhile.
    """

    def __init__(
        self, screen: Screen[None], switching: asyncio.Lock, happened: Happened, ended: Ended
    ) -> None:
        self._screen = screen
        self._switching = switching
        self._happened = happened
        self._ended = ended
        self._busy = 0.0
        """CPU seconds of this thread when the last flush began."""
        self.running: RunningTurn | None = None
        self.ended = 0
        """How many turns are over: what was read from the store before that may be stale."""

    def answers(self, session_id: str) -> bool:
        """Say whether a reply of this session is being written."""
        return self.running is not None and self.running.session_id == session_id

    def start(self, running: RunningTurn, ask: Callable[[], Iterator[Event]]) -> None:
        """Begin a turn; none may be running."""
        assert self.running is None, "one turn at a time"
        self.running = running
        gc.set_threshold(*THRESHOLDS[:2], NEVER)
        self._screen.run_worker(
            lambda: running.run(ask), thread=True, exclusive=True, group="turn", name="turn"
        )
        self._busy = thread_time()
        self._look_again(perf_counter(), 0.0)

    def _look_again(self, started: float, busy: float) -> None:
        cost = max(busy, perf_counter() - started)
        self._screen.set_timer(next_interval(cost), self._drain)

    async def _drain(self) -> None:
        async with self._switching:
            await self._flush()

    async def _flush(self) -> None:
        running = self.running
        if running is None:
            return
        started = perf_counter()
        # All that this thread did since the last flush began: its painting, keys, whatever.
        busy, self._busy = thread_time() - self._busy, thread_time()
        for item in running.feed.drain():
            if isinstance(item, TurnOver):
                self.running = None
                self.ended += 1
                gc.set_threshold(*THRESHOLDS)
                await self._ended(running, item.error)
                return
            running.apply(item)
            await self._happened(running, item)
        # After the repaint: what a flush costs is mostly layout and painting.
        self._screen.call_after_refresh(self._look_again, started, busy)
