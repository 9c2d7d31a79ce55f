"""Page of the prompt, token for token: turns, control tokens, pictures, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from assistant.values.context import ChosenBy, ContextReport, LeftOut, PictureCost, Why
from assistant.values.conversation import Draft, Parent
from assistant.values.text import one_line, plain
from assistant.values.words import counted
from assistant.window.readable import Piece
from tui import messages
from tui.keys import CONTEXT_KEYS, bindings
from tui.pages.dialog import frame
from tui.pages.engine_screen import EngineScreen
from tui.requests import Answer
from tui.widgets.context_meter import Measured, bar, details, head
from tui.widgets.long_text import Line, LongText

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

CHOSEN_BY = {
    ChosenBy.DEFAULT: "",
    ChosenBy.STORED: ", chosen for it",
    ChosenBy.ROOM: ", fewer for want of room",
}
WHY = {
    Why.NO_ROOM: "there is no room for it",
    Why.EXCLUDED: "taken out by you",
    Why.NOT_TAKEN: "more than the server takes",
}


class ContextScreen(EngineScreen[None]):
    """Page of the prompt of the next message, as it would be sent now."""

    BINDINGS: ClassVar = bindings(CONTEXT_KEYS, vi=True)

    def __init__(
        self,
        engine: Engine,
        session_id: str | None,
        draft: Draft | None,
        parent: str | Parent | None = Parent.HEAD,
        system: str | None = None,
    ) -> None:
        """``draft`` follows the turn ``parent``; ``system`` is that of a new session."""
        super().__init__(engine)
        self._session_id = session_id
        self._draft = draft
        self._follows = parent
        self._system = system
        self._spelled: tuple[ContextReport, Sequence[Piece]] | None = None
        self._with_ids = False

    def compose(self) -> ComposeResult:
        keys = "i token ids · F1 keys · esc back"
        with frame("What the model sees", keys, kind="page"):
            yield Static("Laying out the prompt …", classes="meter")
            yield LongText()

    def on_mount(self) -> None:
        self.in_thread(self._spell)

    def _spell(self) -> Answer:
        preview = self._engine.prompts.preview(
            self._session_id, self._draft, parent=self._follows, system=self._system
        )
        return partial(self._show, preview.context, self._engine.prompts.spell(preview))

    @on(messages.RequestRefused)
    def _explain(self, event: messages.RequestRefused) -> None:
        self.query_one(".meter", Static).update(Content(one_line(event.reason)))

    def _show(self, report: ContextReport, pieces: Sequence[Piece]) -> None:
        self._spelled = report, pieces
        words = (meter(report), self._engine.model.status().warning)
        self.query_one(".meter", Static).update(Content("\n".join(filter(None, words))))
        self._show_lines()

    def action_toggle_ids(self) -> None:
        """Show the ids beside the words, or hide them."""
        self._with_ids = not self._with_ids
        self._show_lines()

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one(LongText), f"scroll_{where}")(animate=False)

    def _show_lines(self) -> None:
        if self._spelled is not None:
            self.query_one(LongText).show(list(lines(*self._spelled, with_ids=self._with_ids)))


def meter(report: ContextReport) -> str:
    """Return the context meter in full."""
    measured = Measured(report)
    parts = [head(measured).plain, *(words for words, _ in details(measured))]
    return f"{bar(report).plain} " + " · ".join(parts)


def lines(report: ContextReport, pieces: Sequence[Piece], *, with_ids: bool) -> Iterator[Line]:
    """Yield what is left out, then the prompt; a control token at a turn's begin begins a line."""
    if report.left_out:
        yield ((f"Left out: {counted(len(report.left_out), 'item')}", "warning"),)
        for one in report.left_out:
            yield ((left_out_words(one), "warning"),)
        yield (("", "text"),)
    line: list[tuple[str, str]] = []
    for piece in pieces:
        if line and (piece.begins or piece.picture is not None):
            yield tuple(line)
            line = []
        if piece.picture is not None:
            yield ((picture_words(piece.picture), "picture"),)
            continue
        if piece.is_control:
            line.append((piece.text, "control"))
        else:
            *whole, last = plain(piece.text).expandtabs(4).split("\n")
            for said in whole:  # a line break is a token like any other
                yield (*line, (said, "text"), ("↵", "quiet"))
                line = []
            line.append((last, "text"))
        if with_ids and piece.ids:
            line.append((" [" + " ".join(map(str, piece.ids)) + "] ", "quiet"))
    yield tuple(line)
    yield (("← the reply begins here", "quiet"),)


def picture_words(cost: PictureCost) -> str:
    """Return ``[picture 3 · name.png · 640×480 · 2×2 crops and the whole · 757 tokens]``."""
    picture, looked_at = cost.picture, cost.layout.words
    return (
        f"[picture {picture.number}, in slot {cost.slot} · {one_line(picture.name, 40)} · "
        f"{picture.width}×{picture.height}{looked_at and f' · {looked_at}'}"
        f"{CHOSEN_BY[cost.chosen_by]} · {counted(cost.tokens, 'token')}]"
    )


def left_out_words(one: LeftOut) -> str:
    """Return ``picture 2 (cat.png): there is no room for it, 757 tokens``."""
    if one.picture is not None:
        what = f"picture {one.picture.number} ({one_line(one.picture.name, 40)})"
    else:
        what = f"{one.turn.role}: “{one_line(one.turn.text, 50)}”"
    return f"  ∅ {what}: {WHY[one.why]}, {counted(one.tokens, 'token')}"
