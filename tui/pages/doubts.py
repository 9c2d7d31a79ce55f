"""Page of one reply with its doubtful words underlined; a runner-up can be followed from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Region, clamp
from textual.widgets import Static

from assistant.engine.chances import DOUBTFUL, Other, Token, Word, words_of
from assistant.values.text import one_line, plain
from assistant.values.words import counted
from tui.keys import DOUBTS_KEYS, bindings
from tui.pages.dialog import frame
from tui.textual_fixes import GuardedDialog

UNSURE = 0.2
"""Probability below which it is bold, too."""
KEYS = "← → words · ↑ ↓ runners-up · enter goes on from there · esc back"


@dataclass(frozen=True, slots=True)
class BranchChosen:
    """The reply shall go on differently: with ``token`` at ``place``."""

    place: int
    token: int | str


class DoubtsScreen(GuardedDialog[BranchChosen | None]):
    """Page that goes from word to word; returns the runner-up to go on with, or None."""

    BINDINGS: ClassVar = bindings(DOUBTS_KEYS, vi=True)

    def __init__(self, tokens: Sequence[Token]) -> None:
        super().__init__()
        self._tokens = tokens
        self._text = plain("".join(token.text for token in tokens))
        self._words = words_of(tokens)
        doubtful = [at for at, word in enumerate(self._words) if word.probability < DOUBTFUL]
        self._doubtful = doubtful
        self._at = doubtful[0] if doubtful else 0
        self._row = 0

    def compose(self) -> ComposeResult:
        found = counted(len(self._doubtful), "doubtful word")
        with frame(f"How sure the model was: {found}", KEYS, kind="page"):
            with VerticalScroll():
                yield Static(classes="reply")
            yield Static(classes="others")

    def on_mount(self) -> None:
        self._show()

    @property
    def _others(self) -> tuple[Other, ...]:
        return self._tokens[self._words[self._at].token].others if self._words else ()

    def action_step(self, by: int) -> None:
        """Go to the next doubtful word."""
        places = [at for at in self._doubtful if (at > self._at) == (by > 0) and at != self._at]
        if places:
            self._go(min(places) if by > 0 else max(places))

    def action_next(self, by: int) -> None:
        """Go to the next word."""
        self._go(self._at + by)

    def action_choose(self, by: int) -> None:
        """Mark another runner-up."""
        self._row = clamp(self._row + by, 0, max(0, len(self._others) - 1))
        self._show()

    def action_take(self) -> None:
        """Go on from the word with the runner-up that is marked."""
        if self._others:
            place = self._tokens[self._words[self._at].token].place
            self.dismiss(BranchChosen(place, self._others[self._row].id))

    def _go(self, at: int) -> None:
        self._at, self._row = clamp(at, 0, max(0, len(self._words) - 1)), 0
        self._show()

    def _show(self) -> None:
        shown = Content(self._text)
        for word in self._words:
            if word.probability < DOUBTFUL:
                style = "bold underline" if word.probability < UNSURE else "underline"
                shown = shown.stylize(style, word.start, word.end)
        if not self._words:
            self.query_one(".others", Static).update("This reply has no words.")
            return
        word = self._words[self._at]
        reply = self.query_one(".reply", Static)
        reply.update(shown.stylize("reverse", word.start, word.end))
        self.query_one(".others", Static).update(self._about(word))
        width = max(1, reply.content_size.width)
        row = len(Content(self._text[: word.start] + "x").wrap(width)) - 1
        self.query_one(VerticalScroll).scroll_to_region(Region(0, row, 1, 1), animate=False)

    def _about(self, word: Word) -> Content:
        token = self._tokens[word.token]
        lines = [_line(f"“{self._text[word.start : word.end]}”", token, "")]
        for row, other in enumerate(self._others):
            lines.append(_line(f"“{other.text.strip()}”", other, "›" if row == self._row else " "))
        if not self._others:
            lines.append(Content("  No runners-up are known."))
        return Content("\n").join(lines)


def _line(words: str, token: Other, mark: str) -> Content:
    percent = f"{100 * token.probability:5.1f} %"
    return Content.assemble(
        (f"{mark:1} ", "bold $primary"), (percent, "$phi-quiet"), f"  {one_line(words, 60)}"
    )
