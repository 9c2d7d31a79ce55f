"""Letters that came with one read of the terminal: a text, not keys one by one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from textual import events
from textual.widget import Widget

WORD = 3
"""Different letters that wait together: too many to be pressed each for what it does."""


def is_text(widget: Widget, event: events.Key, keys: Collection[str]) -> bool:
    """Whether the letters behind this one make it text, though it is one of ``keys``.

    A key that is held down, or a few keys that wait for a busy app, stay keys. The letters wait in
    queues of the app and of the widgets on their way, which have no public name.
    """
    on_the_way: set[Any] = {widget, widget.app.focused or widget, widget.app}
    waiting = [
        one.key
        for queue in (pump._message_queue for pump in on_the_way)
        for one in tuple(queue.values)
        if isinstance(one, events.Key) and one.is_printable and one is not event
    ]
    return any(key not in keys for key in waiting) or len({event.key, *waiting}) >= WORD
