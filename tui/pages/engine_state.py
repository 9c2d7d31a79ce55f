"""Dialog about the engine: its model, its work, and the memory plan in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.table import Column, Table
from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from assistant.values.conversation import Turn
from assistant.values.errors import PhichatError
from assistant.values.events import ModelStatus, Phase
from assistant.values.text import one_line
from assistant.values.words import counted, file_size, rate, server_place
from tui.keys import ENGINE_KEYS, bindings
from tui.pages.connect import WHERE_IT_GOES
from tui.pages.dialog import Frame, frame
from tui.textual_fixes import GuardedDialog
from tui.widgets.status_line import DEMO_WORDS, loading_words

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

LOOK_S = 0.3
PHASES = {
    Phase.IDLE: "not loaded",
    Phase.LOADING: "loading",
    Phase.READY: "● ready",
    Phase.FAILED: "✗ ended",
}


NARROW = 48
"""Columns of a window below which names have no column of their own."""

Row = tuple[str, str]
"""A name and words."""


class EngineStateScreen(GuardedDialog[bool]):
    """Dialog that returns True when the engine shall be started again."""

    BINDINGS: ClassVar = bindings(ENGINE_KEYS, vi=True)

    def __init__(self, engine: Engine, work: Callable[[], str], turns: Sequence[Turn]) -> None:
        """``work`` returns what the engine is busy with, ``turns`` are those of the open chat."""
        super().__init__()
        self._engine = engine
        self._work = work
        self._turns = turns

    def compose(self) -> ComposeResult:
        with frame("The engine", scrolls=True):
            yield Static(classes="facts")

    def on_mount(self) -> None:
        self.set_interval(LOOK_S, self._look)
        self._look()

    def _look(self) -> None:
        try:
            status = self._engine.model.status()
        except PhichatError as refused:
            status = ModelStatus(Phase.FAILED, "", is_demo=False, detail=str(refused))
        does = "asks the server" if status.is_server else "starts it"
        cast("Frame", self.query_one(".dialog")).show_hints(f"r {does} again · esc back")
        rows = [*state_rows(status, self._work()), *reply_rows(self._turns)]
        is_narrow = self.size.width < NARROW
        self.query_one(".facts", Static).update(
            _below_each_other(rows) if is_narrow else _table(rows)
        )


def _table(rows: Iterable[Row]) -> Table:
    table = Table.grid(Column(width=12), Column(), padding=(0, 2, 0, 0))
    for name, words in rows:
        table.add_row(Text(name, style="bold"), Text(words))
    return table


def _below_each_other(rows: Iterable[Row]) -> Text:
    lines = [Text.assemble((f"{name} " if name else "", "bold"), words) for name, words in rows]
    return Text("\n").join(lines)


def state_rows(status: ModelStatus, work: str) -> Iterator[tuple[str, str]]:
    """Return rows of a name and words."""
    yield "Model", one_line(status.model) or "none"
    if status.is_demo:
        yield "", f"◆ {DEMO_WORDS}; F8 gets a real one"
    words = loading_words(status) if status.phase is Phase.LOADING else PHASES[status.phase]
    yield "State", words
    if status.phase is Phase.FAILED:
        yield "", one_line(status.detail)
        does = "asks the server" if status.is_server else "starts the engine"
        yield "", f"What was written is kept. r {does} again."
    if work:
        yield "Now", one_line(work)
    if status.is_server:
        yield from server_rows(status)
    elif status.plan is not None:
        yield from plan_rows(status.plan)
    else:
        yield "Memory", "The plan is made when the model is loaded."


def server_rows(status: ModelStatus) -> Iterator[tuple[str, str]]:
    """Return where messages are sent, and what the server says of its model."""
    yield "Server", f"{server_place(status.model)}: {WHERE_IT_GOES}"
    if status.phase is Phase.READY:
        yield "", one_line(status.detail)
    yield "", "Counts of tokens are estimates (~): a server counts in its own way."


def plan_rows(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the memory plan's own sentences, then its figures."""
    yield "Device", one_line(str(plan.get("title") or plan.get("device", "")))
    for place, sentence in enumerate(plan.get("sentences", ())):
        yield "Memory" if place == 0 else "", one_line(str(sentence))
    if (weights := plan.get("weights_bytes")) and (each := plan.get("kv_bytes_per_token")):
        yield "", f"Weights {file_size(weights)}; a token of context takes {file_size(each)}."


def reply_rows(turns: Sequence[Turn]) -> Iterator[tuple[str, str]]:
    """Return the usage and timings that were stored with the last reply."""
    last = next((turn for turn in reversed(turns) if turn.usage is not None), None)
    if last is None or last.usage is None:
        return
    usage, timings = last.usage, last.timings
    yield "Last reply", counted(usage.completion_tokens, "token")
    if timings is not None:
        first = f"the first after {timings.ttft_s:.2f} s"
        yield "", ", ".join(filter(None, (rate(usage, timings), first)))
    if not usage.cached_tokens and server_place(last.model or ""):
        return  # what it did not tell need not be nothing
    share = 100 * usage.cached_tokens // max(1, usage.prompt_tokens)
    read = f"{usage.cached_tokens:,} of {counted(usage.prompt_tokens, 'token')} of the prompt"
    yield "", f"{read} came from the cache ({share} %)"
    if usage.picture_tokens:
        yield "", f"{counted(usage.picture_tokens, 'token')} of the prompt were pictures"
