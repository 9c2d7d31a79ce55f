"""Last line: the model, its work, the download, the figures of the last reply."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant.values.conversation import Timings, Turn, Usage
from assistant.values.events import (
    Event,
    ModelStatus,
    Phase,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
)
from assistant.values.text import one_line
from assistant.values.words import bar, file_size, model_name, short_count
from tui.widgets.turn_run import progress_words

DEMO_WORDS = "demo model: knows only coloured shapes"
"""Always on the screen while the bundled demo model answers."""
RESTART_WORDS = "F5 starts it again"
"""Shown when the engine is gone."""
ASK_WORDS = "F5 asks it again"
"""Shown when a server does not answer."""


class StatusLine(Widget):
    """Three parts: the model, its work, its figures. Drawn as one line: changes lay out nothing."""

    status: reactive[ModelStatus | None] = reactive(None)
    """The state of the model."""
    work: reactive[str] = reactive("")
    """Work of the model, in a few words."""
    download: reactive[str] = reactive("")
    """The download, and its progress."""
    timings: reactive[Timings | None] = reactive(None)
    """The rates of the last reply."""
    usage: reactive[Usage | None] = reactive(None)
    """The token counts of the last reply."""

    def render(self) -> Content:
        model = self.model_words()
        busy = Content("  ").join(
            Content.styled(words, style)
            for words, style in ((self.work, "$secondary"), (self.download, "$primary"))
            if words
        )
        left = Content.assemble(model, "  ", busy) if busy.plain else model
        room = self.size.width - left.cell_length - 2
        for figures in self.figures():
            if len(figures) <= room:
                gap = " " * (self.size.width - left.cell_length - len(figures))
                return Content.assemble(left, gap, (figures, "$phi-quiet"))
        return left.truncate(max(0, self.size.width), ellipsis=True)

    def apply(self, event: Event) -> None:
        """Show an event of the reply that is being written."""
        match event:
            case Progressed():
                self.work = progress_words(event)
            case ReplyStarted():
                self.work = "thinking …"
            case ReplyGrew():
                self.work = "writing …"
            case ReplyEnded(turn=turn):
                self.timings, self.usage = turn.timings, turn.usage
            case ReplyFailed():
                self.work = ""

    def show_last(self, turns: Sequence[Turn]) -> None:
        """Show the figures of a chat's last reply."""
        last = next((turn for turn in reversed(turns) if turn.usage is not None), None)
        self.timings = last.timings if last else None
        self.usage = last.usage if last else None

    def model_words(self) -> Content:
        """Return the model, and its state when it is not simply ready."""
        status = self.status
        if status is None:
            return Content.styled("starting", "$phi-quiet")
        if status.is_demo:
            name: tuple[str, str] = (f"◆ {DEMO_WORDS}", "$warning")
        else:
            name = (model_name(status.model), "$phi-quiet")
        detail = one_line(status.detail)
        if status.phase is Phase.FAILED:
            words = f" · ✗ {detail or 'could not be loaded'}"
            does = ASK_WORDS if status.is_server else RESTART_WORDS
            return Content.assemble((f"{does} · ", "bold $error"), name, (words, "$error"))
        if status.phase is Phase.LOADING:
            return Content.assemble(name, (f" · {loading_words(status)}", "$secondary"))
        if status.phase is Phase.IDLE:
            return Content.assemble(name, (" · not loaded", "$phi-quiet"))
        return Content.assemble(("● ", "$success"), name)

    @property
    def _is_server(self) -> bool:
        return self.status is not None and self.status.is_server

    def figures(self) -> list[str]:
        """Return rate, time to the first token and share of the cache: the longest line first."""
        parts = []
        if self.timings is not None and self.timings.decode_tokens_per_s > 0:
            parts.append(f"{self.timings.decode_tokens_per_s:.1f} tokens/s")
        if self.timings is not None and self.timings.ttft_s > 0:
            parts.append(f"first after {self.timings.ttft_s:.1f} s")
        # a server that does not report its cache may have used one
        is_known = self.usage is not None and (self.usage.cached_tokens or not self._is_server)
        if is_known and self.usage is not None and self.usage.prompt_tokens:
            cached, prompt = self.usage.cached_tokens, self.usage.prompt_tokens
            parts.append(f"cache {short_count(cached)} of {short_count(prompt)}")
        return [" · ".join(parts[:count]) for count in range(len(parts), 0, -1)]


def loading_words(status: ModelStatus) -> str:
    """Return ``reading weights ▰▰▱▱ 40 %  3.3 of 8.3 GB``, or another step of the loading."""
    words = one_line(status.detail) or "loading"
    if status.total <= 0 or status.done >= status.total:
        return words  # starting, or warming up
    if "%" not in words:
        words += f" {min(100, 100 * status.done // status.total)} %"
    sizes = f"{file_size(status.done)} of {file_size(status.total)}"
    return f"{words} {bar(status.done, status.total)} {sizes}"
