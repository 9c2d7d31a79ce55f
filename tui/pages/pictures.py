"""Page of all pictures of all chats, filtered while typing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from assistant.values.conversation import ShownPicture
from assistant.values.text import one_line
from assistant.values.words import ago, counted
from tui.keys import ALL_PICTURES_KEYS
from tui.pages.dialog import TypingGoesToField, frame
from tui.pages.engine_screen import EngineScreen
from tui.terminal.detect import PictureProtocol
from tui.widgets.gallery import Gallery
from tui.widgets.picture_drawing import PictureDrawing

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

KEYS = "enter goes to its place · ctrl+o attaches it here · esc back"
COLUMNS, ROWS = 40, 16
"""Cells of the picture under the cursor."""


@dataclass(frozen=True, slots=True)
class PictureChosen:
    """A picture to go to, or to ``attach`` in the open chat."""

    shown: ShownPicture
    attach: bool


class PicturesScreen(TypingGoesToField, EngineScreen[PictureChosen | None]):
    """Page that returns one of all pictures, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key.binding(priority=key.keys == "ctrl+o") for key in ALL_PICTURES_KEYS if key.action
    ]

    def __init__(
        self, engine: Engine, gallery: Gallery, clock: Callable[[], datetime], words: str = ""
    ) -> None:
        super().__init__(engine)
        self._gallery = gallery
        self._clock = clock
        self._words = words
        self._shown: list[ShownPicture] = []

    def compose(self) -> ComposeResult:
        with frame("All pictures", KEYS, kind="page"):
            yield Input(self._words, placeholder="a name, or words that were said", compact=True)
            yield Static(classes="hint")
            with Horizontal():
                yield OptionList(markup=False)
                yield Container(classes="cells")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._look(self._words)

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        self._look(event.value)

    def _look(self, words: str) -> None:
        self.in_thread(lambda: partial(self._show, words, self._engine.store.all_pictures(words)))

    def _show(self, words: str, shown: list[ShownPicture]) -> None:
        if words != self.query_one(Input).value:
            return
        self._shown = shown
        options, now = self.query_one(OptionList), self._clock()
        options.clear_options()
        options.add_options([Option(row(one, now)) for one in shown])
        options.highlighted = 0 if shown else None
        found = counted(len(shown), "picture") if shown else "No picture"
        self.query_one(".hint", Static).update(Content(f"{found}, the newest first."))

    @on(OptionList.OptionHighlighted)
    async def _draw(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        cells = self.query_one(".cells", Container)
        await cells.remove_children()
        text = self._gallery.protocol is PictureProtocol.TEXT
        if not text and event.option_index < len(self._shown):
            picture = self._shown[event.option_index].picture
            columns = min(COLUMNS, self.size.width * 2 // 5 - 2)  # the words keep half
            await cells.mount(PictureDrawing(picture, self._gallery, columns, ROWS, rests=True))

    def action_move(self, where: str) -> None:
        """Highlight another picture; the typing goes on."""
        getattr(self.query_one(OptionList), f"action_{where}")()

    @on(Input.Submitted)
    def _go(self, event: Input.Submitted) -> None:
        event.stop()
        self._choose(attach=False)

    @on(OptionList.OptionSelected)
    def _go_clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(attach=False)

    def action_attach(self) -> None:
        """Attach the picture in the open chat."""
        self._choose(attach=True)

    def _choose(self, *, attach: bool) -> None:
        place = self.query_one(OptionList).highlighted
        if place is not None and place < len(self._shown):
            self.dismiss(PictureChosen(self._shown[place], attach))


def row(shown: ShownPicture, now: datetime) -> Content:
    """Return a picture's name and size, and below them its chat, its age and what was asked."""
    picture = shown.picture
    title = one_line(shown.session_title, 40) or "Untitled"
    return Content.assemble(
        (one_line(picture.name, 40), "$primary"),
        (f" {picture.width}×{picture.height}\n", "$phi-quiet"),
        (f"{title} · picture {picture.number} · {ago(shown.created, now)}\n", "$phi-quiet"),
        f"{one_line(shown.text, 70)}\n",
    )


def shown_words(shown: ShownPicture, *, same: bool, now: datetime) -> str:
    """Say where a picture that is being attached was shown before."""
    when = shown.created.astimezone()
    today = now.astimezone()
    year = "" if when.year == today.year else f" {when.year}"
    day = "today" if when.date() == today.date() else f"on {when.day} {when:%B}{year}"
    what = "this" if same else "a picture like this"
    title = one_line(shown.session_title, 40) or "Untitled"
    return f"You showed {what} {day} in “{title}”."
