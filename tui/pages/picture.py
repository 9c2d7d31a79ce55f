"""Page of one picture as large as the window, with its facts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.values.conversation import Picture, Turn
from assistant.values.errors import PhichatError
from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.keys import PICTURE_KEYS
from tui.pages.detail import DetailScreen, detail_choices
from tui.textual_fixes import GuardedDialog
from tui.widgets.drawing import Drawing
from tui.widgets.gallery import Gallery
from tui.widgets.picture_view import REST_S, PictureView

LABEL_ROWS = 2
"""The label of a picture and the blank row below it."""


class PictureScreen(GuardedDialog[None]):
    """Page that steps through the pictures of a chat with the arrow keys."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in PICTURE_KEYS]

    @dataclass
    class Known(Message):
        """The facts from the store and the model were read."""

        number: int
        words: str
        part: str
        """The noun for what can be chosen ("crop"); "" for nothing."""

    @dataclass
    class DetailStored(Message):
        """The detail of a picture was stored."""

        picture: Picture

    def __init__(
        self, session_id: str, turns: Sequence[Turn], number: int, gallery: Gallery
    ) -> None:
        """Show the picture ``number`` of ``turns``, which must have one of that number."""
        super().__init__()
        self._session_id = session_id
        self._shown = [(turn, picture) for turn in turns for picture in turn.pictures]
        numbers = [picture.number for _, picture in self._shown]
        self._index = numbers.index(number)
        self._gallery = gallery

    @property
    def picture(self) -> Picture:
        return self._shown[self._index][1]

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
        picture, engine = self.picture, self._gallery.engine
        try:
            choices = await asyncio.to_thread(detail_choices, engine, picture)
        except (PhichatError, ValueError):
            return  # the reason stands below the picture
        if choices is None:
            return
        chosen = await self.app.push_screen_wait(DetailScreen(picture, choices))
        if chosen is not None:
            self._store_detail(replace(picture, num_crops=chosen.detail))

    @work(thread=True, group="detail")
    def _store_detail(self, picture: Picture) -> None:
        try:
            self._gallery.engine.store.set_picture_crops(
                self._session_id, picture.number, picture.num_crops
            )
        except PhichatError as refused:
            self.app.call_from_thread(self.notify, str(refused), severity="error", markup=False)
        else:
            self.post_message(self.DetailStored(picture))

    @on(DetailStored)
    def _show_detail(self, event: DetailStored) -> None:
        event.stop()
        number = event.picture.number
        self._shown = [
            (turn, event.picture if one.number == number else one) for turn, one in self._shown
        ]
        self._ask(self.picture)

    async def _show(self) -> None:
        frame = self.query_one(".frame", Container)
        room = frame.content_size
        await frame.remove_children()
        view = PictureView(
            self.picture, self._gallery, max(1, room.width), max(1, room.height - LABEL_ROWS)
        )
        await frame.mount(view)
        self._tell("…")
        self._ask(self.picture)
        self.set_timer(REST_S, self._rest)

    def _rest(self) -> None:
        for drawing in self.query(Drawing):
            drawing.rest(True)

    @work(thread=True, exclusive=True, group="facts")
    def _ask(self, picture: Picture) -> None:
        engine = self._gallery.engine
        facts, part = [], ""
        try:
            facts.append(file_size(len(engine.store.picture_data(picture.sha256))))
            layout, part = engine.pictures.layout(picture), engine.pictures.form.part
            tokens = counted(layout.tokens, "token")
            facts.append(f"{layout.words}: {tokens}" if layout.words else tokens)
        except PhichatError as refused:
            facts.append(str(refused))
        except ValueError:
            facts.append("too thin for this model to see")
        self.post_message(self.Known(picture.number, " · ".join(facts), part))

    @on(Known)
    def _show_facts(self, event: Known) -> None:
        event.stop()
        if event.number == self.picture.number:
            self._tell(event.words, event.part)

    def _tell(self, facts: str, part: str = "") -> None:
        turn, picture = self._shown[self._index]
        kind = picture.media_type.removeprefix("image/").upper()
        when = turn.created.astimezone().strftime("%-d %b %Y, %H:%M")
        words = one_line(turn.text, 60)
        choose = f"c {part}s · " if part else ""
        steps = f"{self._index + 1} of {len(self._shown)} · ← → steps · {choose}esc closes"
        self.query_one(".facts", Static).update(
            Content.assemble(
                (f"{picture.width}×{picture.height} · {one_line(kind)} · {facts}\n", ""),
                (f"attached {when} with “{words}”\n", "$phi-quiet"),
                (steps, "$phi-quiet"),
            )
        )
