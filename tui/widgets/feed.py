"""Queue of the events of one turn, from the thread that asks the engine to the screen."""

from __future__ import annotations

from dataclasses import dataclass
from queue import Empty, SimpleQueue

from assistant.values.events import Event, Progressed, ReplyGrew, ThoughtGrew

BASE_INTERVAL = 0.05
"""Seconds between two looks at the queue when painting is cheap: 20 a second."""
LONGEST_INTERVAL = 1.0
COST_FACTOR = 3.0
"""Painting may take at most about a quarter of the time: after a flush that cost t, wait 3 t."""


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The engine has no more events; ``error`` is why, where that was not one of its events."""

    error: str = ""


FeedItem = Event | TurnOver


class Feed:
    """A queue that never slows the generating side; the screen empties it at its own pace."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[FeedItem] = SimpleQueue()

    def put(self, event: FeedItem) -> None:
        """Add an event (called by the thread that iterates over the engine's events)."""
        self._queue.put(event)

    def drain(self) -> list[FeedItem]:
        """Take everything that has arrived; text is joined, only the last progress stays."""
        events: list[FeedItem] = []
        pieces: list[str] = []
        kind: type[ReplyGrew | ThoughtGrew] = ReplyGrew
        while True:
            try:
                event = self._queue.get_nowait()
            except Empty:
                break
            if pieces and type(event) is not kind:
                events.append(kind("".join(pieces)))
                pieces.clear()
            if isinstance(event, ReplyGrew | ThoughtGrew):
                kind = type(event)
                pieces.append(event.text)
                continue
            if isinstance(event, Progressed) and events and isinstance(events[-1], Progressed):
                events[-1] = event
            else:
                events.append(event)
        if pieces:
            events.append(kind("".join(pieces)))
        return events


def next_interval(cost: float) -> float:
    """Return the seconds to wait after a flush that cost ``cost`` seconds."""
    return min(LONGEST_INTERVAL, max(BASE_INTERVAL, COST_FACTOR * cost))
