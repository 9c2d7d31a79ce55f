"""The last line: which model, what it is doing, how fast it was, how full its memory is."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant.conversation import Timings, Turn, Usage
from assistant.events import (
    Event,
    ModelStatus,
    Phase,
    Progressed,
    ReplyEnded,
    ReplyGrew,
    ReplyStarted,
)
from assistant.plain_text import one_line
from tui.running import progress_words
from tui.text import model_name, short_count

DEMO_WORDS = "demo model: knows only coloured shapes"
"""Always on the screen while the bundled demo model answers."""


class StatusLine(Widget):
    """Three parts: the model, its work, its figures. Drawn as one line: changes lay out nothing."""

    status: reactive[ModelStatus | None] = reactive(None)
    """The state of the model."""
    work: reactive[str] = reactive("")
    """What the model is busy with, in a few words."""
    timings: reactive[Timings | None] = reactive(None)
    """The rates of the last reply."""
    usage: reactive[Usage | None] = reactive(None)
    """The token counts of the last reply."""
    limit: reactive[int] = reactive(0)
    """The context limit in tokens; 0 when it is not known."""

    def render(self) -> Content:
        """The model and its work on the left, the figures on the right; the work is cut first."""
        model, figures = self.model_words(), Content.styled(self.figures(), "$phi-quiet")
        room = self.size.width - model.cell_length - figures.cell_length - 4
        work = Content.styled(self.work, "$secondary").truncate(max(0, room), ellipsis=True)
        left = Content.assemble(model, "  ", work)
        gap = " " * max(2, self.size.width - left.cell_length - figures.cell_length)
        return Content.assemble(left, gap, figures)

    def apply(self, event: Event) -> None:
        """Follow the turn that is being answered."""
        match event:
            case Progressed():
                self.work = progress_words(event)
            case ReplyStarted():
                self.work = "thinking …"
            case ReplyGrew():
                self.work = "writing …"
            case ReplyEnded(turn=turn):
                self.timings, self.usage = turn.timings, turn.usage

    def show_last(self, turns: Sequence[Turn]) -> None:
        """Show the figures of a chat's last reply."""
        last = next((turn for turn in reversed(turns) if turn.usage is not None), None)
        self.timings = last.timings if last else None
        self.usage = last.usage if last else None

    def model_words(self) -> Content:
        """The model, and its state when it is not simply ready."""
        status = self.status
        if status is None:
            return Content.styled("starting", "$phi-quiet")
        if status.is_demo:
            name: tuple[str, str] = (f"◆ {DEMO_WORDS}", "$warning")
        else:
            name = (model_name(status.model), "$phi-quiet")
        detail = one_line(status.detail)
        if status.phase is Phase.FAILED:
            return Content.assemble(name, (f" · ✗ {detail or 'could not be loaded'}", "$error"))
        if status.phase is Phase.LOADING:
            return Content.assemble(name, (f" · {detail or 'loading'}", "$secondary"))
        if status.phase is Phase.IDLE:
            return Content.assemble(name, (" · not loaded", "$phi-faint"))
        return Content.assemble(("● ", "$success"), name)

    def figures(self) -> str:
        """Rate and context, as far as they are known."""
        parts = []
        if self.timings is not None and self.timings.decode_tokens_per_s > 0:
            parts.append(f"{self.timings.decode_tokens_per_s:.1f} tokens/s")
        if self.usage is not None and self.usage.prompt_tokens:
            used = short_count(self.usage.prompt_tokens + self.usage.completion_tokens)
            parts.append(f"{used}/{short_count(self.limit)}" if self.limit else f"{used} tokens")
        return " · ".join(parts)
