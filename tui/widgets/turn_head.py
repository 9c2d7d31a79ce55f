"""Line above a turn: its speaker, version, marks, and what the model does not see of it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.values.conversation import Turn
from assistant.values.text import plain


@dataclass
class TurnClicked(Message):
    """A turn was clicked."""

    turn_id: str


class TurnHead(Static):
    """Redrawn when any of it changes."""

    def __init__(self, speaker: Content, turn: Turn) -> None:
        super().__init__(classes="speaker")
        self._speaker = speaker
        self._turn = turn
        self._versions = (0, 0)
        self._unseen = ""
        self._summary = ""

    @property
    def turn_id(self) -> str:
        """The id of the turn below."""
        return self._turn.id

    def on_mount(self) -> None:
        self._draw()

    def show(self, speaker: Content, turn: Turn) -> None:
        """Show the turn as it is now."""
        self._speaker, self._turn = speaker, turn
        self._draw()

    def show_versions(self, place: int, count: int) -> None:
        """Show that this is version ``place`` of ``count``."""
        if (place, count) != self._versions:
            self._versions = (place, count)
            self._draw()

    def show_seen(self, words: str) -> None:
        """Show a note on what the model does not see here; "" when it sees all of it."""
        if words != self._unseen:
            self._unseen = words
            self._draw()

    def show_summary(self, text: str) -> None:
        """Show the summary that stands for everything above; "" for none."""
        if text != self._summary:
            self._summary = text
            self._draw()

    def _draw(self) -> None:
        if not self.is_attached:
            return  # it is drawn when it is mounted
        parts = [self._speaker]
        place, count = self._versions
        if count > 1:
            parts.append(Content.styled(f"‹{place}/{count}›", "$secondary"))
        if self._turn.pinned:
            parts.append(Content.styled("▲ pinned", "$success"))
        if self._turn.excluded:
            parts.append(Content.styled("∅ the model doesn't see this", "$warning"))
        if self._unseen:
            parts.append(Content.styled(self._unseen, "$warning"))
        head = Content("  ").join(parts)
        if self._summary:
            title = Content.styled("Σ What the model is told of the turns above", "bold $accent")
            hint = Content.styled("  /summary changes it", "$phi-quiet")
            text = Content.styled(plain(self._summary).strip(), "italic $phi-quiet")
            head = Content("\n").join([title + hint, text, Content(""), head])
        self.update(head)
