"""Meter of the context: its use, the share of pictures, and what will be left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from assistant.values.context import ContextReport
from assistant.values.words import counted, short_count

CELLS = 12
"""Width of the bar."""
PICTURE, TEXT, FREE = "▩", "▰", "▱"
"""Cells of the bar: taken by pictures, by text, by nothing. Shapes differ, not only colours."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The context as it is with the draft, and how much more would be left out by sending it."""

    report: ContextReport
    leaves_out: int = 0
    """Turns and pictures that the model sees now and would not after the draft is sent."""


class ContextMeter(Widget):
    """One line, from half full on or where the user wants it; a click shows what the model sees."""

    measured: reactive[Measured | None] = reactive(None)
    """None until the model's facts are known."""
    wanted: reactive[bool] = reactive(False)
    """The user wants it, however much room there is."""

    @dataclass
    class Clicked(Message):
        """The user wants to see what the model sees."""

    def render(self) -> Content:
        if self.measured is None:
            return Content.styled("context: not measured yet", "$phi-quiet")
        line = Content.assemble(
            ("context ", "$phi-quiet"), bar(self.measured.report), (" ", ""), head(self.measured)
        )
        out = len(self.measured.report.left_out)
        return Content.assemble(line, (f" · {out} left out", "$warning")) if out else line

    def watch_wanted(self) -> None:
        self.display = self.wanted or is_due(self.measured)

    def watch_measured(self) -> None:
        self.display = self.wanted or is_due(self.measured)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked())


def is_due(measured: Measured | None) -> bool:
    """Say whether the context is half full, or sending leaves something out."""
    if measured is None:
        return False
    report = measured.report
    return bool(measured.leaves_out) or 2 * report.used >= report.budget


def bar(report: ContextReport) -> Content:
    """Return a bar of pictures, then text, then free cells, of the longest prompt."""
    budget = max(1, report.budget)
    pictures = _cells(report.picture_tokens, budget)
    used = max(pictures, _cells(report.used, budget))
    style = "$error" if report.used > report.budget else "$secondary"
    return Content.assemble(
        (PICTURE * pictures, "$primary"),
        (TEXT * (used - pictures), style),
        (FREE * (CELLS - used), "$phi-quiet"),
    )


def _cells(tokens: int, budget: int) -> int:
    # anything at all is one cell at least
    return min(CELLS, max(1, CELLS * tokens // budget)) if tokens > 0 else 0


def head(measured: Measured) -> Content:
    """Return ``812 of 3.1k``, and a warning where one is due: the part that is never cut.

    ``~812 of 3.1k`` where a server answers, which counts in tokens of its own.
    """
    report = measured.report
    about = "~" if report.is_estimate else ""
    figures = f"{about}{short_count(report.used)} of {short_count(report.budget)}"
    if report.used > report.budget:
        over = report.used - report.budget
        return Content.styled(f"{figures} ✗ {counted(over, 'token')} too long", "bold $error")
    if measured.leaves_out:
        words = f"{figures} ! sending leaves out {counted(measured.leaves_out, 'more item')}"
        return Content.styled(words, "bold $warning")
    return Content(figures)


def details(measured: Measured) -> Iterator[tuple[str, str]]:
    """Yield the rest as words and style, the most useful first."""
    report = measured.report
    if out := len(report.left_out):
        yield f"{out} left out", "$warning"
    if report.pictures:
        count = counted(len(report.pictures), "picture")
        yield f"{count} {short_count(report.picture_tokens)}", "$phi-quiet"
    if report.used <= report.budget:
        yield f"{short_count(report.until_eviction)} until the oldest goes", "$phi-quiet"
    yield f"{short_count(report.max_new_tokens)} kept for the reply", "$phi-quiet"
    if report.summary_tokens:
        yield f"summary {short_count(report.summary_tokens)}", "$phi-quiet"
