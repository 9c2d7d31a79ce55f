"""Page of two answers to one question: beside each other where there is room, else below."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content

from assistant.values.conversation import Turn
from assistant.values.text import one_line
from assistant.values.words import counted, model_name, rate
from tui.keys import COMPARE_KEYS, bindings
from tui.textual_fixes import GuardedScreen
from tui.widgets.reply_text import ReplyText

BESIDE = 120
"""Columns from which two answers stand beside each other."""


class CompareScreen(GuardedScreen[str | None]):
    """Returns the id of the answer with which the chat goes on; None: as it is."""

    BINDINGS: ClassVar = bindings(COMPARE_KEYS, vi=True)

    def __init__(self, first: Turn, second: Turn) -> None:
        super().__init__()
        self._turns = (first, second)

    def compose(self) -> ComposeResult:
        with Container(classes="answers"):
            for number, turn in enumerate(self._turns, 1):
                with VerticalScroll(classes="page", can_focus=False) as column:
                    yield ReplyText(turn.text or "(no words)")
                column.border_title = Content(f"{number}  {model_name(turn.model or 'a model')}")
                column.border_subtitle = Content(_facts(turn))

    def on_resize(self, event: events.Resize) -> None:
        self.query_one(".answers").set_class(event.size.width >= BESIDE, "beside")

    def action_take(self, number: int) -> None:
        """Let the chat go on with one of the answers."""
        self.dismiss(self._turns[number - 1].id)

    def action_scroll(self, where: str) -> None:
        """Scroll both answers."""
        for column in self.query(VerticalScroll):
            getattr(column, f"scroll_{where}")(animate=False)


def _facts(turn: Turn) -> str:
    """Return ``12 tokens · 8.1 tokens/s · esc back``, as far as that is known."""
    parts = []
    if turn.usage is not None:
        parts.append(counted(turn.usage.completion_tokens, "token"))
    if words := rate(turn.usage, turn.timings):
        parts.append(words)
    return one_line(" · ".join([*parts, "1 or 2 goes on with it · esc back"]))
