"""Window of a conversation's turns: only those near the ones in sight are mounted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from textual.containers import VerticalScroll
from textual.geometry import Region, Size
from textual.layout import DockArrangeResult
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from assistant.values.conversation import Picture, Role, Turn
from tui.terminal.detect import PictureProtocol
from tui.widgets.drawing import Drawing
from tui.widgets.gallery import Gallery
from tui.widgets.ground import ground
from tui.widgets.parts_drawing import PartsDrawing
from tui.widgets.picture_drawing import REST_S
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.user_turn import UserTurn

TAIL = 20
"""Turns mounted when a session is opened."""
BATCH = 10
"""Turns mounted at a time on the way up or down."""
MOST = 50
"""Turns mounted at most: as many are taken off at the other side."""
ENOUGH = 3
"""Lines of a selected turn that must be in sight."""
NEAR = 3
"""Lines from the top, or from the end, at which the next turns are mounted."""


@dataclass(frozen=True, slots=True)
class Place:
    """The line of a turn that is the first in sight."""

    turn_id: str
    line: int


class Note(Static):
    """Stands below the last turn."""


class TurnWindow(VerticalScroll, can_focus=False):
    """Mounts a window of ``turns`` and moves it as the user scrolls.

    Turns that are far away are removed, so that a chat of any length costs the same.
    """

    def __init__(self, gallery: Gallery, turns: list[Turn]) -> None:
        """Show ``turns``, all of the branch, oldest first; the list is changed in place."""
        super().__init__()
        self._gallery = gallery
        self.turns = turns
        self._mounted_range = range(0)
        self._last_note: Callable[[], Widget] | None = None
        """Makes the note below the last turn."""
        self._live: ReplyTurn | None = None
        """The reply that grows stays mounted, and is hidden where it is out of the window."""
        self._changing = asyncio.Lock()
        """Held while turns are mounted or taken off: keys, timers and messages come from
        different tasks, and each step of mounting waits for the widgets."""
        self._moving = False
        self._aim = 0
        """Counts jumps: older turns that were to be mounted for an earlier place are too late."""
        self._going: Place | None = None
        """The place that it scrolls to as soon as the turns are laid out."""
        self._resting: Timer | None = None

    def render_lines(self, crop: Region) -> list[Strip]:
        return ground(super().render_lines, crop)

    def arrange(self, size: Size, optimal: bool = False) -> DockArrangeResult:
        """Let a chat that is shorter than the window stand at its top.

        Textual puts the end of what is anchored at the foot of the window, also where that
        leaves room above it.
        """
        arranged = super().arrange(size, optimal)
        turns = arranged.spatial_map
        turns.total_region = turns.total_region.union(Region(0, 0, 1, size.height))
        return arranged

    @property
    def mounted_turns(self) -> range:
        """The positions of the mounted turns among all."""
        return self._mounted_range

    @property
    def at_last_turn(self) -> bool:
        """Whether the last turn is mounted."""
        return self._mounted_range.stop == len(self.turns)

    @property
    def place(self) -> Place | None:
        """The place that the user reads; None at the end."""
        if self._going is not None:
            return self._going
        if self._anchored and not self._anchor_released:  # on its way there, or there
            return None
        if self.at_last_turn and self.scroll_y >= self.max_scroll_y:
            return None
        for widget in self._turn_widgets():
            if widget.virtual_region.bottom > self.scroll_y:
                return Place(widget.turn.id, int(self.scroll_y) - widget.virtual_region.y)
        return None

    async def show_turn(self, turn_id: str, line: int = 0) -> bool:
        """Put a line of a turn at the top of the window; False when it is none of this branch."""
        async with self._changing:
            index = next((i for i, turn in enumerate(self.turns) if turn.id == turn_id), None)
            if index is None:
                return False
            self.anchor(False)
            if index not in self._mounted_range:
                begin = max(0, index - BATCH // 2)
                await self._mount_only(range(begin, min(len(self.turns), begin + TAIL)))
            widget = self._turn_widgets()[index - self._mounted_range.start]
            aim = self._take_aim()
            self._going = Place(turn_id, line)

            def scroll() -> None:
                if aim == self._aim:
                    self._going = None
                    y = widget.virtual_region.y + line
                    self.scroll_to(y=y, animate=False, immediate=True, force=True)

            self.call_after_refresh(scroll)
            return True

    async def bring_into_sight(self, turn_id: str) -> None:
        """Scroll to a turn, unless enough of it is in sight already."""
        widget = self.widget_of(turn_id)
        if widget is None:
            await self.show_turn(turn_id)
            return
        whole = widget.virtual_region
        window = Region(0, int(self.scroll_y), self.size.width, self.scrollable_size.height)
        if whole.intersection(window).height < min(ENOUGH, whole.height):
            widget.scroll_visible(animate=False)

    def _take_aim(self) -> int:
        """Cancel every movement of the window that has begun."""
        self._moving = False
        self._going = None
        self._aim += 1
        return self._aim

    def widget_of(self, turn_id: str) -> UserTurn | ReplyTurn | None:
        """Return the widget of a turn, where it is mounted."""
        for widget in self._turn_widgets():
            if widget.turn.id == turn_id:
                return widget
        return None

    async def go_to_end(self) -> None:
        """Show the end and stay there."""
        async with self._changing:
            await self._to_end()

    async def _to_end(self) -> None:
        if not self.at_last_turn:
            await self._mount_only(self._tail())
        self._take_aim()
        self.anchor()

    async def _set_note(self, note: Callable[[], Widget] | None) -> None:
        self._last_note = note
        await self.query(Note).remove()
        if note is not None and self.at_last_turn:
            await self.mount(note())

    def _tail(self) -> range:
        return range(max(0, len(self.turns) - TAIL), len(self.turns))

    def _turn_widgets(self) -> list[UserTurn | ReplyTurn]:
        return [
            child
            for child in self.children
            if isinstance(child, UserTurn | ReplyTurn) and child.display
        ]

    async def _mount_only(self, window: range) -> None:
        """Mount these turns and no others."""
        with self.app.batch_update():
            await self.remove_children(
                [child for child in self.children if child is not self._live]
            )
            self._mounted_range = range(window.start, window.start)
            await self._mount_below(window.stop - window.start)
        self._take_aim()  # taking widgets off scrolls, as if older turns were wanted

    async def _mount_below(self, count: int) -> None:
        """Mount the next ``count`` turns below the others."""
        begin, end = self._mounted_range.stop, self._mounted_range.stop + count
        live = self._live
        if live is not None:
            live.display = end == len(self.turns)
        last = end - 1 if live is not None and live.display else end
        widgets = [self._turn_widget(turn) for turn in self.turns[begin:last]]
        await self.mount_all(widgets, before=live)
        self._mounted_range = range(self._mounted_range.start, end)
        await self._set_note(self._last_note)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._stir()
        if new_value <= NEAR and new_value < old_value:
            self.load_older()
        elif new_value >= self.max_scroll_y - NEAR and new_value > old_value:
            self._load_newer()

    def load_older(self) -> None:
        """Mount older turns above, keeping in place what is being read."""
        if self._mounted_range.start and not self._moving:
            self._moving = True
            self.call_later(self._mount_older, self._aim)

    def _load_newer(self) -> None:
        if not self.at_last_turn and not self._moving:
            self._moving = True
            self.call_later(self._mount_newer, self._aim)

    async def _mount_older(self, aim: int) -> None:
        async with self._changing:
            if aim == self._aim:
                await self._add_older()

    async def _add_older(self) -> None:
        start = max(0, self._mounted_range.start - BATCH)
        added = [self._turn_widget(t) for t in self.turns[start : self._mounted_range.start]]
        kept, place = self._turn_widgets()[0], self.scroll_y
        offset = kept.virtual_region.y
        self.anchor(False)
        with self.app.batch_update():
            await self.mount_all(added, before=kept)
            self._mounted_range = range(start, self._mounted_range.stop)
            excess = len(self._mounted_range) - MOST
            if excess > 0:
                await self.query(Note).remove()
                for widget in self._turn_widgets()[-excess:]:
                    if widget is self._live:
                        widget.display = False
                    else:
                        await widget.remove()
                self._mounted_range = range(start, self._mounted_range.stop - excess)
        self._keep_place(kept, offset, place)

    async def _mount_newer(self, aim: int) -> None:
        async with self._changing:
            if aim == self._aim:
                await self._add_newer()

    async def _add_newer(self) -> None:
        kept, place = self._turn_widgets()[-1], self.scroll_y
        offset = kept.virtual_region.y
        self.anchor(False)
        with self.app.batch_update():
            await self._mount_below(min(BATCH, len(self.turns) - self._mounted_range.stop))
            await self._trim_top()
        self._keep_place(kept, offset, place)

    async def _trim_top(self) -> None:
        excess = len(self._mounted_range) - MOST
        if excess > 0:
            await self.remove_children(self._turn_widgets()[:excess])
            start = self._mounted_range.start + excess
            self._mounted_range = range(start, self._mounted_range.stop)

    def _keep_place(self, kept: Widget, offset: int, place: float) -> None:
        """Scroll so that ``kept``, ``offset`` lines down in the old window, stays in place."""
        aim = self._aim

        def scroll() -> None:
            if aim == self._aim:
                moved = kept.virtual_region.y - offset
                self.scroll_to(y=place + moved, animate=False, force=True, immediate=True)
                self._moving = False

        self.call_after_refresh(scroll)

    async def go(self, where: str) -> None:
        """Scroll by a page (``page_up``, ``page_down``) or to the ``end``."""
        if where == "end":
            await self.go_to_end()
        elif where == "page_up":
            if self.scroll_y <= NEAR:  # it can't be scrolled to: it is there already
                self.load_older()
            self.scroll_page_up(animate=False)
        else:
            if self.scroll_y >= self.max_scroll_y - NEAR:
                self._load_newer()
            self.scroll_page_down(animate=False)

    def on_resize(self) -> None:
        self._stir()

    def _stir(self) -> None:
        """Sixel pictures are drawn when nothing moves: each takes some 20 ms at every step."""
        if self._gallery.protocol is not PictureProtocol.SIXEL:
            return
        if self._resting is not None:
            self._resting.stop()
        for drawing in self.query(Drawing):
            drawing.rest(False)

        def rest() -> None:
            for drawing in self.query(Drawing):
                drawing.rest(True)

        self._resting = self.set_timer(REST_S, rest)

    def _turn_widget(self, turn: Turn) -> UserTurn | ReplyTurn:
        if turn.role is Role.USER:
            return UserTurn(turn, self._gallery, self._part_pictures() if turn.pictures else ())
        return ReplyTurn(turn, is_last=turn.id == self.turns[-1].id)

    def _show_last(self) -> None:
        """Have replies know which turn is the last, after turns were added or taken off."""
        for widget in self._turn_widgets():
            if isinstance(widget, ReplyTurn):
                widget.show_last(widget.turn.id == self.turns[-1].id)

    def _part_pictures(self) -> list[Picture]:
        return [one for turn in self.turns for one in turn.pictures if one.region is not None]

    def _frame_parts(self) -> None:
        """Frame the parts of pictures, after turns were added or taken off."""
        pictures = self._part_pictures()
        for drawing in self.query(PartsDrawing):
            drawing.show_parts(pictures)
