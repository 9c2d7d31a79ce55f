"""Strip of the pages of a document, some of which are chosen to be attached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from assistant.values.conversation import PictureFile
from assistant.values.errors import PhichatError
from assistant.values.text import one_line
from assistant.values.words import counted
from tui.keys import STRIP_KEYS, bindings
from tui.pages.dialog import Frame, frame
from tui.pages.password import PasswordScreen
from tui.terminal.detect import PictureProtocol
from tui.textual_fixes import GuardedDialog
from tui.widgets.chip_unopened import GivenUpError, Watch
from tui.widgets.gallery import Gallery
from tui.widgets.picture_drawing import PictureDrawing
from tui.widgets.turn_run import unexpected_words

if TYPE_CHECKING:
    from assistant.pictures.documents import Document
    from assistant.pictures.films import Film

COLUMNS, ROWS = 20, 12
"""Cells of a page's drawing."""
CELL = COLUMNS + 2
SIDE = 480
"""Pixels of a drawn page's longest side: 12 rows of a terminal with large letters."""
MOST_KEPT = 100
"""Drawn pages that are kept, of long documents."""
KEYS = "← → go · space marks · a all · enter attaches · t with its text · esc back"
KEYS_OF_FRAMES = KEYS.replace("t with its text · ", "")

ReadDocument = Callable[[str, Watch], "tuple[Document | Film, str]"]
"""Reads the document of a source, and the pages that this names (in a thread)."""

DrawnPage = PictureFile | str
"""A drawn page, or the reason why it could not be drawn."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Sources to be attached; with ``quotes`` their text is quoted, too."""

    sources: tuple[str, ...]
    quotes: bool = False


class PageCell(Vertical):
    """One page: its drawing, and its number below."""

    @dataclass
    class Clicked(Message):
        """The page was clicked."""

        page: int

    def __init__(self, page: int) -> None:
        super().__init__()
        self.page = page

    def compose(self) -> ComposeResult:
        yield Container(classes="cells")
        yield Static(classes="number")

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(self.page))


class StripScreen(GuardedDialog[Picked | None]):
    """Dialog that draws as many pages as fit around the cursor; returns the chosen ones."""

    BINDINGS: ClassVar = bindings(STRIP_KEYS)

    @dataclass
    class Opened(Message):
        """The document was read."""

        document: Document | Film

    @dataclass
    class Refused(Message):
        """It could not be; ``words`` say why, ``code`` is their word for programs."""

        words: str
        code: str = ""

    @dataclass
    class Drawn(Message):
        """A page was drawn, or could not be, and ``words`` say why."""

        page: int
        file: PictureFile | None
        words: str = ""

    def __init__(self, source: str, read: ReadDocument, gallery: Gallery) -> None:
        super().__init__()
        self._source = source
        self._read = read
        self._gallery = gallery
        self._document: Document | Film | None = None
        self._drawn: dict[int, DrawnPage] = {}
        self._unlocks = False
        """A password was typed."""
        self._first = 1
        """The first page in sight."""
        self.page = 1
        """The page under the cursor."""
        self.marked: dict[int, None] = {}
        """The marked pages, in the order of marking."""

    def compose(self) -> ComposeResult:
        with frame("Pages", KEYS):
            yield Static("reading …", classes="question")
            yield Horizontal(classes="strip")

    def on_mount(self) -> None:
        self._open()

    @work(thread=True, group="document")
    def _open(self) -> None:
        worker = get_current_worker()

        def watch(done: int, total: int) -> None:
            if worker.is_cancelled:
                raise GivenUpError

        try:
            document, _ = self._read(self._source, watch)
            self.post_message(self.Opened(document))
        except GivenUpError:
            return
        except PhichatError as refused:
            self.post_message(self.Refused(str(refused), refused.code))
        except Exception as unexpected:  # a decoder's surprise
            self.post_message(self.Refused(unexpected_words(unexpected)))

    @on(Refused)
    def _say_refusal(self, event: Refused) -> None:
        event.stop()
        self.query_one(".question", Static).update(Content(one_line(event.words)))
        if event.code == "password":
            from assistant.pictures.dropped import file_of  # not for the first paint

            name = Path(file_of(self._source)).name
            self.app.push_screen(PasswordScreen(name, again=self._unlocks), self._unlock)

    def _unlock(self, password: str | None) -> None:
        if password:
            self._unlocks = True
            self._gallery.engine.pictures.unlock(password)
            self._open()

    @on(Opened)
    async def _begin(self, event: Opened) -> None:
        event.stop()
        self._document = event.document
        if event.document.unit != "page":
            self.query_one(".dialog").border_title = Content("Frames")
            cast("Frame", self.query_one(".dialog")).show_hints(KEYS_OF_FRAMES)
        await self._show()

    async def on_resize(self) -> None:
        if self._document is not None:
            await self._show()

    @property
    def _count(self) -> int:
        return 0 if self._document is None else self._document.count

    @property
    def _in_sight(self) -> range:
        fit = max(1, self.query_one(".strip").size.width // CELL)
        return range(self._first, min(self._first + fit, self._count + 1))

    async def _show(self) -> None:
        """Show the pages around the cursor, and have those drawn that are not yet."""
        fit = len(self._in_sight) or 1
        if not self._first <= self.page < self._first + fit:
            self._first = self.page if self.page < self._first else self.page - fit + 1
        self._first = max(1, min(self._first, self._count - fit + 1))
        strip = self.query_one(".strip")
        wanted = list(self._in_sight)
        if [cell.page for cell in self.query(PageCell)] != wanted:
            await strip.remove_children()
            await strip.mount_all(map(PageCell, wanted))
            for page in wanted:
                if page in self._drawn:
                    await self._put(page)
            self._draw([page for page in wanted if page not in self._drawn])
        self._mark()

    def _mark(self) -> None:
        """Show which page is under the cursor, and which are marked."""
        if self._document is None:
            return
        for cell in self.query(PageCell):
            cell.set_class(cell.page == self.page, "-current")
            mark = ("✓ ", "bold $success") if cell.page in self.marked else ("", "")
            here = "▸ " if cell.page == self.page else ""  # not by colour alone
            label = Content.assemble(here, mark, self._document.label(cell.page))
            cell.query_one(".number", Static).update(label)
        name, unit = one_line(self._document.name, 50), self._document.unit
        here = f"{unit} {self._document.label(self.page)}"
        chosen = counted(len(self.marked), unit) if self.marked else here
        words = f"{name}: {counted(self._count, unit)}; enter attaches {chosen}"
        self.query_one(".question", Static).update(Content(words))

    @work(thread=True, exclusive=True, group="pages")
    def _draw(self, pages: list[int]) -> None:
        worker, document = get_current_worker(), self._document
        for page in pages:
            if worker.is_cancelled or document is None:
                return
            try:
                file = document.page(page, longest=SIDE)
                self.post_message(self.Drawn(page, file))
            except PhichatError as refused:
                self.post_message(self.Drawn(page, None, str(refused)))
            except Exception as unexpected:  # a decoder's surprise
                self.post_message(self.Drawn(page, None, unexpected_words(unexpected)))

    @on(Drawn)
    async def _keep(self, event: Drawn) -> None:
        event.stop()
        self._drawn[event.page] = event.file or event.words
        while len(self._drawn) > MOST_KEPT:
            del self._drawn[next(iter(self._drawn))]
        await self._put(event.page)

    async def _put(self, page: int) -> None:
        """Put a page's drawing, or the reason why there is none, into its cell."""
        for cell in self.query(PageCell):
            if cell.page == page:
                cells, drawn = cell.query_one(".cells"), self._drawn[page]
                await cells.remove_children()
                if isinstance(drawn, str):
                    await cells.mount(Static(Content(one_line(drawn))))
                elif self._gallery.protocol is not PictureProtocol.TEXT:
                    await cells.mount(
                        PictureDrawing(drawn, self._gallery, COLUMNS, ROWS, rests=True)
                    )

    # Keys

    async def action_go(self, by: int) -> None:
        """Move the cursor by so many pages."""
        self.page = max(1, min(self.page + by, self._count))
        await self._show()

    async def action_turn(self, by: int) -> None:
        """Move the cursor by as many pages as are in sight."""
        await self.action_go(by * (len(self._in_sight) or 1))

    async def action_mark(self) -> None:
        """Mark the page under the cursor, or mark it no longer, and go on."""
        if self.page in self.marked:
            del self.marked[self.page]
        elif self._count:
            self.marked[self.page] = None
        await self.action_go(1)

    def action_mark_all(self) -> None:
        """Mark all pages, or none if all are."""
        every = dict.fromkeys(range(1, self._count + 1))
        self.marked = {} if len(self.marked) == self._count else every
        self._mark()

    @on(PageCell.Clicked)
    async def _mark_clicked(self, event: PageCell.Clicked) -> None:
        event.stop()
        self.page = event.page
        if event.page in self.marked:
            del self.marked[event.page]
        else:
            self.marked[event.page] = None
        await self._show()

    def action_take(self) -> None:
        """Return the marked pages, else the one under the cursor."""
        self._take(quotes=False)

    def action_take_text(self) -> None:
        """Return them, to have their text quoted too."""
        self._take(quotes=True)

    def _take(self, *, quotes: bool) -> None:
        if self._document is not None:
            source = self._document.source_of(self._source, list(self.marked) or [self.page])
            self.dismiss(Picked((source,), quotes))
