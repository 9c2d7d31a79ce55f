"""Search page: results while typing, enter opens the place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from assistant.values.conversation import FoundIn, Role, SearchHit, Snippet
from assistant.values.text import one_line
from assistant.values.words import ago, counted
from tui import messages
from tui.keys import SEARCH_KEYS, bindings
from tui.pages.dialog import TypingGoesToField, frame
from tui.pages.engine_screen import EngineScreen

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

PAUSE_S = 0.12
"""Seconds without typing before a search begins."""
MOST = 100
"""So many places are shown."""
TITLE_WIDTH = 48

HOW = (
    'The words in any order, the last one as far as it is typed; "words in quotes" follow one '
    "another. Chats, titles and names of pictures are searched."
)


class SearchScreen(TypingGoesToField, EngineScreen[SearchHit | None]):
    """Page that returns the place to open, or None. One search runs at a time."""

    CSS_PATH = "search.tcss"
    BINDINGS: ClassVar = bindings(SEARCH_KEYS)

    def __init__(self, engine: Engine, clock: Callable[[], datetime], words: str = "") -> None:
        """Begin with ``words``."""
        super().__init__(engine)
        self._clock = clock
        self.words = words
        """Words as they are typed."""
        self._hits: Sequence[SearchHit] = ()
        self._answered = ""
        self._searching = False
        self._chosen = False
        """Enter was pressed before the words were searched for."""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        keys = "↑↓ choose · enter goes there · esc back"
        with frame("Search all chats", keys, kind="page"):
            yield Input(self.words, placeholder="words", compact=True)
            yield Static(Content(HOW), classes="hint")
            yield OptionList(markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._look()

    @on(Input.Changed)
    def _note_typed(self, event: Input.Changed) -> None:
        self.words, self._chosen = event.value, False
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._look)

    def _look(self) -> None:
        """Search, unless a search runs: that one looks again when it ends."""
        words = self.words
        if not self._searching and words != self._answered:
            self._searching = True
            self.in_thread(lambda: partial(self._show, words, self._search(words)))

    def _search(self, words: str) -> Sequence[SearchHit]:
        return self._engine.store.search(words, limit=MOST)

    def _show(self, words: str, hits: Sequence[SearchHit]) -> None:
        self._over(words)
        self._hits = hits
        options = self.query_one(OptionList)
        options.clear_options()
        now = self._clock()
        options.add_options([Option(row(hit, now)) for hit in hits])
        options.highlighted = 0 if hits else None
        self.query_one(".hint", Static).update(Content(self._count(words)))
        if self._chosen and self._is_answered:
            self._go()
        else:
            self._look()

    @on(messages.RequestRefused)
    def _show_refused(self) -> None:
        self._over(self.words)

    def _over(self, words: str) -> None:
        self._searching = False
        self._answered = words

    def _count(self, words: str) -> str:
        if not words.strip():
            return HOW
        if not self._hits:
            return "Nothing has all these words. Fewer, or the beginning of one, find more."
        if len(self._hits) == MOST:
            return f"The {MOST} best places. More words narrow it down."
        return f"{counted(len(self._hits), 'place')}, the best first."

    def action_move(self, where: str) -> None:
        """Highlight another place (``cursor_down``, ``page_up`` …); the typing goes on."""
        getattr(self.query_one(OptionList), f"action_{where}")()

    @on(Input.Submitted)
    def _choose_highlighted(self, event: Input.Submitted) -> None:
        event.stop()
        self._chosen = True
        if self._is_answered:
            self._go()
        else:
            self._look()

    def _go(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self.dismiss(self._hits[place])

    @property
    def _is_answered(self) -> bool:
        """Whether what is shown is what was found for the words."""
        return self._answered == self.words

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        place, options = event.option_index, event.option_list
        if place < len(self._hits) and options.get_option_at_index(place) is event.option:
            self.dismiss(self._hits[place])  # else other places came meanwhile


def row(hit: SearchHit, now: datetime) -> Content:
    """Return the chat, the author and the age of a hit, and below them the marked words."""
    title = one_line(hit.session_title, TITLE_WIDTH) or "Untitled"
    facts = f" · {said(hit)} · {ago(hit.created, now)}"
    return Content.assemble(
        (title, "$primary"), (facts, "$phi-quiet"), "\n", marked(hit.snippet), "\n"
    )


def said(hit: SearchHit) -> str:
    """Return the author of a hit, or which part of a chat it is."""
    if hit.found_in is FoundIn.TITLE:
        return "the title"
    if hit.found_in is FoundIn.PICTURE:
        return "a picture's name"
    return "the model" if hit.role is Role.ASSISTANT else "you"


def marked(snippet: Snippet) -> Content:
    """Return a snippet with the found words bold and underlined, because colour is not enough."""
    parts: list[str | tuple[str, str]] = []
    end = 0
    for begin, stop in snippet.marks:
        parts += [snippet.text[end:begin], (snippet.text[begin:stop], "bold underline")]
        end = stop
    return Content.assemble(*parts, snippet.text[end:])
