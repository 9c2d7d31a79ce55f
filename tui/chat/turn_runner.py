"""Runner of turns: asked in threads, shown at the pace that the app can paint."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

from assistant.values.events import Event
from tui.widgets.feed import TurnOver, next_interval

if TYPE_CHECKING:
    from textual.widget import Widget

    from tui.chat.open_chat import OpenChat
    from tui.widgets.turn_run import RunningTurn

THRESHOLDS = gc.get_threshold()
NEVER = 1_000_000
"""The third threshold while a reply is written: a full collection, over all that there is,
stops everything for 20 to 100 ms. Young objects are collected as ever."""


class TurnRunner:
    """Empties the feeds of the running turns on the app's thread, with ``widget``'s timers.

    ``happened`` is awaited for every event, ``ended`` once, with one sentence where the engine
    refused and "" otherwise. Both are awaited under the chat's switching lock, so the open chat
    stays open meanwhile.
    """

    def __init__(
        self,
        widget: Widget,
        chat: OpenChat,
        happened: Callable[[RunningTurn, Event], Awaitable[None]],
        ended: Callable[[RunningTurn, str], Awaitable[None]],
    ) -> None:
        self._widget = widget
        self._chat = chat
        self._happened = happened
        self._ended = ended
        self._busy = 0.0
        """CPU seconds of this thread when the last flush began."""

    def start(self, running: RunningTurn, ask: Callable[[], Iterator[Event]]) -> None:
        """Begin a turn; no other that it would have to wait for may be running."""
        assert self._chat.running is None, "one turn at a time"
        self._chat.runs.append(running)
        gc.set_threshold(*THRESHOLDS[:2], NEVER)
        self._widget.run_worker(lambda: running.run(ask), thread=True, group="turn", name="turn")
        self._busy = thread_time()
        self._look_again(running, perf_counter(), 0.0)

    def _look_again(self, running: RunningTurn, started: float, busy: float) -> None:
        cost = max(busy, perf_counter() - started)
        self._widget.set_timer(next_interval(cost), partial(self._drain, running))

    async def _drain(self, running: RunningTurn) -> None:
        async with self._chat.switching:
            await self._flush(running)

    async def _flush(self, running: RunningTurn) -> None:
        started = perf_counter()
        # All that this thread did since the last flush began: its painting, keys, whatever.
        busy, self._busy = thread_time() - self._busy, thread_time()
        for item in running.feed.drain():
            if isinstance(item, TurnOver):
                self._chat.runs.remove(running)
                self._chat.ended += 1
                if not self._chat.runs:
                    gc.set_threshold(*THRESHOLDS)
                await self._ended(running, item.error)
                return
            running.apply(item)
            await self._happened(running, item)
        # After the repaint: what a flush costs is mostly layout and painting.
        self._widget.call_after_refresh(self._look_again, running, started, busy)
