"""Line for what a model thought before its reply; folded, and unfolded on demand."""

from __future__ import annotations

from time import monotonic

from textual.content import Content
from textual.events import Click
from textual.timer import Timer
from textual.widgets import Static

from assistant.values.conversation import Thought
from assistant.values.text import PlainStream, plain
from assistant.values.words import duration

TICK_S = 0.5
"""Seconds between two looks at the clock while the model thinks."""


class ThoughtLine(Static):
    """``▸ thought for 12 s``, which counts while the model thinks; below it, its words."""

    def __init__(self, thought: Thought | None) -> None:
        super().__init__(classes="thought")
        self._text = plain(thought.text) if thought is not None else ""
        self._stream = PlainStream()
        self._seconds = thought.seconds if thought is not None else 0.0
        self._since: float | None = None
        self._is_open = False
        self._ticking: Timer | None = None
        self.display = thought is not None

    def on_mount(self) -> None:
        self._draw()

    def grow(self, text: str, since: float | None = None) -> None:
        """Add to a thought that began ``since`` (monotonic seconds), or begins now."""
        self._text += self._stream.feed(text)
        if self._since is None:
            self._since = monotonic() if since is None else since
            self._ticking = self.set_interval(TICK_S, self._draw)
            self.display = True
            self._draw()
        elif self._is_open:
            self._draw()

    def end(self, thought: Thought | None = None) -> None:
        """Stop counting; ``thought`` is what was stored of it."""
        if self._since is not None:
            self._seconds += monotonic() - self._since
            self._text += self._stream.finish()
            self._since = None
        if self._ticking is not None:
            self._ticking.stop()
            self._ticking = None
        if thought is not None:
            self._text, self._seconds = plain(thought.text), thought.seconds
        self.display = bool(self._text)
        self._draw()

    def toggle(self) -> None:
        """Show the words, or fold them."""
        self._is_open = not self._is_open
        self._draw()

    def on_click(self, event: Click) -> None:
        event.stop()
        self.toggle()

    def _draw(self) -> None:
        is_running = self._since is not None
        seconds = self._seconds + (monotonic() - self._since if self._since is not None else 0.0)
        words = f"{'thinking' if is_running else 'thought for'} {duration(seconds)}"
        line = Content.styled(f"{'▾' if self._is_open else '▸'} {words}", "italic $phi-quiet")
        if self._is_open:
            line += Content.styled(f"\n{self._text.strip()}", "$phi-quiet")
        self.update(line)
