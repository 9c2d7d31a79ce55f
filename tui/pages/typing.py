"""Letters that reach a page find its line, whether or not it has the focus yet."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


def type_into(line: Input, event: events.Key) -> None:
    """Pass a letter that nobody took on to ``line``.

    Letters that are typed right after the key of a page come before its line
    has the focus. A blank means something of its own in lists and trees.
    """
    focused = line.screen.focused
    taken = event.character == " " and focused not in (None, line)
    if event.is_printable and not taken:
        event.stop()
        line.screen.set_focus(line)
        line.post_message(events.Key(event.key, event.character))
