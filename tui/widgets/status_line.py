"""Last line: the model, its state, its work, the download."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant.values.events import (
    Event,
    ModelStatus,
    Phase,
    Progressed,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
    ThoughtGrew,
)
from assistant.values.text import one_line
from assistant.values.words import bar, file_size, model_name
from tui.widgets.turn_run import progress_words

DEMO_WORDS = "demo model: knows only coloured shapes"
"""Always on the screen while the bundled demo model answers, but for progress in a small window."""
DEMO_NAME = "demo model"
"""The same, where the line has to tell more."""
RESTART_WORDS = "F5 starts it again"
"""Shown when the engine is gone."""
ASK_WORDS = "F5 asks it again"
"""Shown when a server does not answer."""


class StatusLine(Widget):
    """Model, then its work. Drawn as one line: changes lay out nothing."""

    status: reactive[ModelStatus | None] = reactive(None)
    """The state of the model."""
    work: reactive[str] = reactive("")
    """Work of the model, in a few words."""
    download: reactive[str] = reactive("")
    """The download, and its progress."""

    def render(self) -> Content:
        """Return the line; where room is short, the permanent words go before the progress does."""
        is_loading = self.status is not None and self.status.phase is Phase.LOADING
        work = "" if is_loading else self.work  # which waits for the loading
        busy = Content("  ").join(
            Content.styled(words, style)
            for words, style in ((work, "$secondary"), (self.download, "$primary"))
            if words
        )
        for model in self.model_words():
            line = Content.assemble(model, "  ", busy) if busy.plain else model
            if line.cell_length <= self.size.width:
                return line
        last = busy if busy.plain else line
        return last.truncate(max(0, self.size.width), ellipsis=True)

    def apply(self, event: Event) -> None:
        """Show an event of the reply that is being written."""
        match event:
            case Progressed():
                self.work = progress_words(event)
            case ReplyStarted() | ThoughtGrew():
                self.work = "thinking …"
            case ReplyGrew():
                self.work = "writing …"
            case ReplyFailed():
                self.work = ""

    def model_words(self) -> list[Content]:
        """Return the model and its state: in full, then shorter, then the state alone."""
        status = self.status
        if status is None:
            return [Content.styled("starting", "$phi-quiet")]
        names = [(model_name(status.model), "$phi-quiet")]
        if status.is_demo:
            names = [(DEMO_WORDS, "$warning"), (DEMO_NAME, "$warning")]
        detail = one_line(status.detail)
        if status.phase is Phase.FAILED:
            does = ASK_WORDS if status.is_server else RESTART_WORDS
            why = (f"✗ {detail or 'could not be loaded'}", "$error")
            head = (f"{does} · ", "bold $error")
            return [
                *(Content.assemble(head, name, " · ", why) for name in names),
                Content.assemble(head, why),
            ]
        if status.phase is Phase.LOADING:
            words = Content.styled(loading_words(status), "$secondary")
            return [*(Content.assemble(name, " · ", words) for name in names), words]
        if status.phase is Phase.IDLE:
            return [Content.assemble(name, (" · not loaded", "$phi-quiet")) for name in names]
        return [Content.assemble(("● ", "$success"), name) for name in names]


def loading_words(status: ModelStatus) -> str:
    """Return ``reading weights ▰▰▱▱ 40 %  3.3 of 8.3 GB``, or another step of the loading."""
    words = one_line(status.detail) or "loading"
    if status.total <= 0 or status.done >= status.total:
        return words  # starting, or warming up
    if "%" not in words:
        words += f" {min(100, 100 * status.done // status.total)} %"
    sizes = f"{file_size(status.done)} of {file_size(status.total)}"
    return f"{words} {bar(status.done, status.total)} {sizes}"
