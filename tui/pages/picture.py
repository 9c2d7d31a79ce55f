"""Page of one picture as large as the window, with its facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.values.conversation import Picture, PictureFile, Turn
from assistant.values.errors import PhichatError
from assistant.values.region import Box
from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.keys import PICTURE_KEYS, bindings
from tui.pages.detail import DetailScreen, detail_choices
from tui.pages.dialog import whole_hints
from tui.textual_fixes import GuardedDialog
from tui.widgets.drawing import Drawing
from tui.widgets.framed_drawing import FramedDrawing
from tui.widgets.gallery import Gallery
from tui.widgets.parts_drawing import parts_of
from tui.widgets.picture_drawing import REST_S
from tui.widgets.picture_view import PictureView

LABEL_ROWS = 2
"""The label of a picture and the blank row below it."""
FRAME_KEYS = "arrows move it · shift+arrows size it · enter attaches it · esc no frame"
NO_FRAME = "No picture is drawn here: give the part as /region NUMBER left,top,width,height"


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of the page: one of the session, or the ``file`` of one that is not sent."""

    picture: Picture
    about: str
    session_id: str | None = None
    file: PictureFile | None = None
    choose: Callable[[int | None], None] = lambda detail: None
    """Sets the detail of one that is not sent."""

    @property
    def source(self) -> Picture | PictureFile:
        return self.file or self.picture

    def with_detail(self, detail: int | None) -> Shown:
        """Return it in another detail."""
        file = self.file and replace(self.file, num_crops=detail)
        return replace(self, picture=replace(self.picture, num_crops=detail), file=file)


def stored(session_id: str, turns: Sequence[Turn]) -> list[Shown]:
    """Return the pictures of a session's turns."""
    return [Shown(picture, _when(turn), session_id) for turn in turns for picture in turn.pictures]


def attached(file: PictureFile, number: int, choose: Callable[[int | None], None]) -> Shown:
    """Return a picture of the next message, which will get this number."""
    return Shown(file.numbered(number), "attached, not sent yet", file=file, choose=choose)


def _when(turn: Turn) -> str:
    when = turn.created.astimezone().strftime("%-d %b %Y, %H:%M")
    return f"attached {when} with “{one_line(turn.text, 60)}”"


@dataclass(frozen=True, slots=True)
class CutWanted:
    """A part of a picture that shall be attached."""

    source: Picture | PictureFile
    box: Box


class PictureScreen(GuardedDialog[CutWanted | None]):
    """Page that steps through pictures with the arrow keys; returns a part to be attached."""

    BINDINGS: ClassVar = bindings(PICTURE_KEYS, vi=True)

    @dataclass
    class Known(Message):
        """The facts from the store and the model were read."""

        index: int
        words: str
        part: str
        """The noun for what can be chosen ("crop"); "" for nothing."""

    @dataclass
    class DetailStored(Message):
        """The detail of a picture was stored."""

        index: int
        detail: int | None

    def __init__(
        self, shown: Sequence[Shown], index: int, gallery: Gallery, *, framing: bool = False
    ) -> None:
        """Show one of some pictures, with ``framing`` a frame in it at once."""
        super().__init__()
        self._framing = framing
        self._facts = "", ""
        self._shown = list(shown)
        self._index = index
        self._gallery = gallery

    @property
    def shown(self) -> Shown:
        return self._shown[self._index]

    @property
    def picture(self) -> Picture:
        return self.shown.picture

    def compose(self) -> ComposeResult:
        yield Container(classes="frame")
        yield Static(classes="facts")

    async def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._show)

    async def action_step(self, by: int) -> None:
        """Go to another picture; the first follows the last."""
        self._index = (self._index + by) % len(self._shown)
        await self._show()

    @work
    async def action_choose_detail(self) -> None:
        index, picture, engine = self._index, self.picture, self._gallery.engine
        try:
            choices = await asyncio.to_thread(detail_choices, engine, picture)
        except (PhichatError, ValueError):
            return  # the reason stands below the picture
        if choices is None:
            return
        chosen = await self.app.push_screen_wait(DetailScreen(picture, choices))
        if chosen is not None:
            self._shown[index].choose(chosen.detail)
            self._store_detail(index, chosen.detail)

    @work(thread=True, group="detail")
    def _store_detail(self, index: int, detail: int | None) -> None:
        shown, store = self._shown[index], self._gallery.engine.store
        try:
            if shown.session_id is not None:
                store.set_picture_crops(shown.session_id, shown.picture.number, detail)
        except PhichatError as refused:
            self.app.call_from_thread(self.notify, str(refused), severity="error", markup=False)
        else:
            self.post_message(self.DetailStored(index, detail))

    @on(DetailStored)
    def _show_detail(self, event: DetailStored) -> None:
        event.stop()
        self._shown[event.index] = self._shown[event.index].with_detail(event.detail)
        self._ask(self._index)

    async def _show(self) -> None:
        frame = self.query_one(".frame", Container)
        room = frame.content_size
        await frame.remove_children()
        parts = parts_of(self.picture, [one.picture for one in self._shown])
        view = PictureView(
            self.picture,
            self._gallery,
            max(1, room.width),
            max(1, room.height - LABEL_ROWS),
            file=self.shown.file,
            draw=partial(FramedDrawing, parts=parts),
        )
        await frame.mount(view)
        self._tell("…")
        if self._framing:
            self._framing = False
            self.call_after_refresh(self.action_frame_part)
        self._ask(self._index)
        self.set_timer(REST_S, self._rest)

    def action_frame_part(self) -> None:
        """Show a frame to be moved over the part that shall be attached."""
        for drawing in self.query(FramedDrawing):
            drawing.begin()
        if not self.query(FramedDrawing):
            self.notify(NO_FRAME, markup=False)

    @on(FramedDrawing.Moved)
    def _show_frame(self, event: FramedDrawing.Moved) -> None:
        event.stop()
        self._tell(*self._facts)

    @on(FramedDrawing.Taken)
    def _take_part(self, event: FramedDrawing.Taken) -> None:
        event.stop()
        self.dismiss(CutWanted(self.shown.source, event.box))

    def _rest(self) -> None:
        for drawing in self.query(Drawing):
            drawing.rest(True)

    @work(thread=True, exclusive=True, group="facts")
    def _ask(self, index: int) -> None:
        picture, engine = self._shown[index].source, self._gallery.engine
        facts, part = [], ""
        try:
            facts.append(file_size(len(self._gallery.data(picture))))
            layout, part = engine.pictures.layout(picture), engine.pictures.form.part
            tokens = counted(layout.tokens, "token")
            facts.append(f"{layout.words}: {tokens}" if layout.words else tokens)
        except PhichatError as refused:
            facts.append(str(refused))
        except ValueError:
            facts.append("too thin for this model to see")
        self.post_message(self.Known(index, " · ".join(facts), part))

    @on(Known)
    def _show_facts(self, event: Known) -> None:
        event.stop()
        if event.index == self._index:
            self._tell(event.words, event.part)

    def _tell(self, facts: str, part: str = "") -> None:
        self._facts = facts, part
        picture = self.picture
        kind = picture.media_type.removeprefix("image/").upper()
        choose = f"c {part}s · " if part else ""
        about = one_line(self.shown.about)
        keys = f"{self._index + 1} of {len(self._shown)} · ← → steps · {choose}r a part · esc back"
        boxes = [drawing.box for drawing in self.query(FramedDrawing) if drawing.box]
        for left, top, width, height in boxes:
            about, keys = f"the part {width}×{height} at {left},{top}", FRAME_KEYS
        shown = self.query_one(".facts", Static)
        lines = [
            Content(f"{picture.width}×{picture.height} · {one_line(kind)} · {facts}"),
            Content.styled(about, "$phi-quiet"),
            Content.styled(keys, "$phi-quiet"),
        ]
        if self.has_class("-tiny"):  # two lines have room: the way back is one of them
            lines = [whole_hints(keys, shown.content_size.width).stylize("$phi-quiet"), lines[0]]
        shown.update(Content("\n").join(lines))
