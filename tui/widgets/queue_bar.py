"""Bar of the messages that wait until the running reply is over."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from assistant.values.conversation import Draft
from assistant.values.text import one_line
from assistant.values.words import counted

WIDTH = 60


class QueueBar(Static):
    """One line for each, the next one first, and how they come back."""

    def __init__(self) -> None:
        super().__init__()
        self.display = False

    def show(self, drafts: Sequence[Draft]) -> None:
        """Show these messages, the next one first."""
        lines = [_line(place, draft) for place, draft in enumerate(drafts, 1)]
        hint = "sent after the reply · up takes the last back · esc stops, takes all back"
        self.update(Content("\n").join([*lines, Content.styled(hint, "$phi-quiet")]))
        self.display = bool(drafts)


def _line(place: int, draft: Draft) -> Content:
    pictures = f" · {counted(len(draft.pictures), 'picture')}" if draft.pictures else ""
    return Content.assemble(
        (f"queued {place}  ", "$secondary"),
        one_line(draft.text, WIDTH),
        (pictures, "$phi-quiet"),
    )
