"""Fixes of Textual 8.2, each with the issue it has upstream or a description of the defect.

:func:`apply` changes Textual's parser of keys and its fields once, at the start of the app. The
screens below stand in for Textual's own: every screen of the app derives from one of them. Each fix
can go when its defect is gone; tests/tui/test_guards.py and test_terminals.py show them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rich.segment import Segment
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._wrap import compute_wrap_offsets
from textual._xterm_parser import XTermParser
from textual.await_complete import AwaitComplete
from textual.cache import FIFOCache
from textual.css.model import RuleSet
from textual.document import _wrapped_document
from textual.document._edit import Edit
from textual.drivers._writer_thread import WriterThread
from textual.events import Key, ScreenResume
from textual.geometry import Offset, Region
from textual.message import Message
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, TextArea
from textual.widgets.text_area import EditResult

from assistant.values.text import plain
from tui.terminal import columns
from tui.terminal.detect import ANSWERS
from tui.terminal.packets import Packets

ResultT = TypeVar("ResultT")
if TYPE_CHECKING:
    _AnyScreen = Screen[Any]
else:
    _AnyScreen = object  # Textual takes the style sheets of the first base that is a widget

_feed, _tick = XTermParser.feed, XTermParser.tick
_edit, _set_document = TextArea.edit, TextArea._set_document
_text_key, _line_key = TextArea._on_key, Input._on_key
_post = Widget.post_message
_write_all = WriterThread.run

_ALT = re.compile(r"\x1b[^\x00-\x1f\x7f\[\]OPNX_^\\]")
"""Alt and a character that begins no longer sequence."""
_PASTE = "\x1b[200~"

_STRIP_CACHES = {
    "_divide_cache": 4,
    "_crop_cache": 16,
    "_style_cache": 16,
    "_filter_cache": 4,
    "_line_length_cache": 4,
    "_crop_extend_cache": 4,
    "_offsets_cache": 4,
}
"""Entries that each cache of a line holds, as Textual has them."""


@dataclass
class ClipboardAnswered(Message):
    """The terminal sent a packet of its clipboard."""

    packet: str


class _Sequence(Enum):
    """Key with the one attribute that Textual's parser reads."""

    ALT_ENTER = "alt+enter"


def apply() -> None:
    """Mend keys, late answers, control characters in fields, lost messages, the cost of lines."""
    # 1) Textual issue 6663: xterm, tmux, VTE and others send alt as an ESC before the key, and
    #    Textual keeps the alt of letters only. ESC CR became a plain enter, which sends a message.
    keys: dict[str, object] = ANSI_SEQUENCES_KEYS  # type: ignore[assignment]
    for enter in "\r\n":
        keys[f"\x1b{enter}"] = (_Sequence.ALT_ENTER,)
    #    Where more keys come with the same read, and an ESC among them, it types a ^ for the alt.
    # 2) No issue known: an answer to a question about the terminal (its version, the size of a
    #    cell, its attributes) that arrives after the start is read as keys, which types it.
    #    Answers about the clipboard are messages.
    XTermParser.feed = _feed_without_answers  # type: ignore[method-assign]
    XTermParser.tick = _tick_without_answers  # type: ignore[method-assign, assignment]
    # 3) No issue known: fields write their text to the terminal as it is, escape sequences too, and
    #    what is edited may come from an imported chat, a file or the clipboard.
    TextArea.edit = _edit_plain  # type: ignore[method-assign]
    TextArea._set_document = _set_plain_document  # type: ignore[method-assign]
    Input.validate_value = _plain_line  # type: ignore[attr-defined]
    # 4) As designed there: a message that a widget posts while its parent's code runs, in the
    #    callback of a dialog say, ends at that parent; those above never hear of it. All that is
    #    posted here tells what happened to the widget that posts it.
    Widget.post_message = _post_as_own  # type: ignore[method-assign]
    # 5) No issue known: each line of each paint makes seven caches, of which it uses one or two,
    #    and each widget that is styled calls a function of Python for the hash of each rule.
    Strip.__init__ = _start_strip  # type: ignore[method-assign]
    Strip.__getattr__ = _make_cache  # type: ignore[attr-defined]
    RuleSet.__hash__ = object.__hash__  # type: ignore[method-assign]
    # 6) No issue known: where the terminal counts other cells for joined emoji and the like, all
    #    that follows in the row is painted elsewhere.
    Strip.render = columns.render  # type: ignore[method-assign]
    # 7) No issue known: the thread that writes ends at the first write into a terminal that was
    #    closed, and the app then waits for ever for room in its queue.
    WriterThread.run = _write_to_the_end  # type: ignore[method-assign]
    # 8) No issue known: a field takes letters at once, and its own keys after they went up to the
    #    app and came back. Of keys that come together, ctrl+u takes the letters behind it, too.
    TextArea._on_key = _take_text_key  # type: ignore[method-assign]
    Input._on_key = _take_line_key  # type: ignore[method-assign]
    # 9) No issue known: a text area breaks all its lines at a paste, when its scrollbar comes, and
    #    when it has been laid out. Of a megabyte most lines fit, or were broken at this width.
    _wrapped_document.compute_wrap_offsets = _wrap_offsets  # type: ignore[attr-defined]


def _wrap_offsets(
    text: str,
    width: int,
    tab_size: int,
    fold: bool = True,
    precomputed_tab_sections: list[tuple[str, int]] | None = None,
) -> list[int]:
    """Return where a line breaks; a control character counts as a cell, which a field has none."""
    if "\t" in text:
        return compute_wrap_offsets(text, width, tab_size, fold, precomputed_tab_sections)
    if len(text) <= width and text.isascii():
        return []
    return list(_offsets(text, width, tab_size, fold))


@lru_cache(maxsize=20_000)
def _offsets(text: str, width: int, tab_size: int, fold: bool) -> list[int]:
    return compute_wrap_offsets(text, width, tab_size, fold)


def _write_to_the_end(self: WriterThread) -> None:
    """Write; drop what is to be written to a terminal that was closed."""
    try:
        _write_all(self)
    except OSError:
        while self._queue.get() is not None:
            pass


def _start_strip(self: Strip, segments: Iterable[Segment], cell_length: int | None = None) -> None:
    self._segments = list(segments)
    self._cell_length = cell_length
    self._render_cache = self._link_ids = self._cell_count = None


def _make_cache(self: Strip, name: str) -> FIFOCache[Any, Any]:
    if name not in _STRIP_CACHES:
        raise AttributeError(name)
    cache: FIFOCache[Any, Any] = FIFOCache(_STRIP_CACHES[name])
    setattr(self, name, cache)
    return cache


def _post_as_own(self: Widget, message: Message) -> bool:
    is_ours = type(message).__module__.partition(".")[0] == __name__.partition(".")[0]
    return _post(self, message.set_sender(self) if is_ours else message)


def _feed_without_answers(self: XTermParser, data: str) -> Iterable[Message]:
    if not data:  # the end of the input
        yield from _feed(self, data)
        return
    kept, packets = _packets_of(self).take(data)
    yield from map(ClipboardAnswered, packets)
    if kept := ANSWERS.sub("", kept):
        yield from _feed_with_alt(self, kept)


def _feed_with_alt(self: XTermParser, data: str) -> Iterable[Message]:
    end = 0
    for found in _ALT.finditer(data.partition(_PASTE)[0]):
        yield from _feed(self, data[end : found.end()])
        self._timeout_time = None if self._timeout_time is None else 0.0  # it is over
        yield from _tick(self)
        end = found.end()
    if rest := data[end:]:
        yield from _feed(self, rest)


def _tick_without_answers(self: XTermParser) -> Iterable[Message]:
    if held := _packets_of(self).look():
        yield from _feed(self, held)
    yield from _tick(self)


def _packets_of(parser: XTermParser) -> Packets:
    found: Packets = parser.__dict__.setdefault("_phichat_packets", Packets())
    return found


def _edit_plain(self: TextArea, edit: Edit) -> EditResult:
    edit.text = plain(edit.text)
    return _edit(self, edit)


def _set_plain_document(self: TextArea, text: str, language: str | None) -> None:
    _set_document(self, plain(text), language)


def _plain_line(self: Input, value: str) -> str:
    return plain(value).replace("\n", " ")


async def _take_text_key(self: TextArea, event: Key) -> None:
    if not await _take_own_key(self, event):
        await _text_key(self, event)


async def _take_line_key(self: Input, event: Key) -> None:
    if not await _take_own_key(self, event):
        await _line_key(self, event)


async def _take_own_key(field: TextArea | Input, event: Key) -> bool:
    """Run a field's own action, in its turn; those of others, ``screen.call`` say, stay above."""
    if event.is_printable or not field.has_focus:
        return False
    bindings = field.screen._binding_chain[0][1].key_to_bindings.get(event.key, ())
    for one in bindings:
        is_own = not one.priority and "." not in one.action.partition("(")[0]
        if is_own and await field.app.run_action(one.action, field):
            event.stop()
            event.prevent_default()
            return True
    return False


class _StyledOnce(_AnyScreen):
    """Screen whose widgets are styled when they come, and not twice more before they are seen.

    No issue known: the classes of a screen's size are added after its first layout, and its first
    appearance styles all widgets, which have just been styled.
    """

    _has_appeared = False

    async def _compose(self) -> None:
        width, height = self.app.size
        columns, rows = self.app.HORIZONTAL_BREAKPOINTS, self.app.VERTICAL_BREAKPOINTS
        self.add_class(*self._get_breakpoint_classes(width, columns or []))
        self.add_class(*self._get_breakpoint_classes(height, rows or []))
        await super()._compose()

    def _on_screen_resume(self, event: ScreenResume) -> None:
        event.refresh_styles &= self._has_appeared
        self._has_appeared = True


class GuardedScreen(_StyledOnce, Screen[ResultT]):
    """Screen that survives clicks on removed widgets, rests below a dialog and closes once."""

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """Return the widget under a coordinate, and None for one that is detached.

        Textual issue 6643: while a reply streams, blocks are replaced under the mouse. The
        compositor knows the old ones for one frame more, and a click asks the hit widget for
        the region of its parent, which is None.
        """
        widget, offset = super().get_widget_and_offset_at(x, y)
        if widget is not None and widget is not self and widget.parent is None:
            return None, None
        return widget, offset

    def _compositor_refresh(self) -> None:
        """Paint a change below a dialog once.

        No issue known: a screen under another refreshes the upper one and leaves its own
        ``_repaint_required`` set, so both are painted again and again, without an end.
        """
        super()._compositor_refresh()
        if self is not self.app.screen:
            self._repaint_required = False

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Close the screen once; a screen that is not the top one stays."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class GuardedDialog(_StyledOnce, ModalScreen[ResultT]):
    """Modal screen that closes once, and paints pictures whole."""

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Paint regions, with all of each picture that they touch.

        As designed there: what changes below a dialog, the list of chats say, paints that region
        of the dialog again. Text that is written over a part of a Sixel picture takes it away.
        """
        whole = tuple(
            Region.from_union([region, *(drawing.region for drawing in self._touched(region))])
            for region in regions
        )
        return super().refresh(*whole, repaint=repaint, layout=layout, recompose=recompose)

    def _touched(self, region: Region) -> Iterator[Widget]:
        if self.is_attached:
            yield from (one for one in self.query("Drawing") if one.region.overlaps(region))

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Close the dialog once.

        Textual issue 2575 asked for an error where a screen that is not the top one is
        dismissed; 8.2 takes off the top one instead. A second enter, typed before the first
        was handled, would so close the page below.
        """
        return super().dismiss(result) if self.is_active else AwaitComplete()
