"""Text of a reply in one widget, complete or growing."""

from __future__ import annotations

from dataclasses import dataclass

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from assistant.values.markdown import link_definitions
from assistant.values.text import PlainStream, plain
from tui.markdown.document import Document
from tui.markdown.json_tables import as_tables
from tui.markdown.lines import Line

DRAWN = 300
"""Rows above and below that stay drawn: more than any window has."""


class ReplyText(Widget):
    """Draws Markdown row by row: those in sight, and of these only what changed."""

    @dataclass
    class LinkClicked(Message):
        """A link was clicked; nothing was opened."""

        address: str

    def __init__(self, text: str = "") -> None:
        """Show ``text``, which must be complete; leave it out to stream with :meth:`grow`."""
        super().__init__(classes=None if text else "-empty")
        self._document = Document(as_tables(plain(text)) or plain(text))
        self._stream = PlainStream()
        self._columns = 0
        self._drawn: dict[int, tuple[Line | None, Strip]] = {}
        self._look: object = None
        """State that all drawn rows depend on."""
        self._text = text
        """The whole text so far, as it was written."""

    @property
    def document(self) -> Document:
        return self._document

    def grow(self, piece: str) -> None:
        """Add what the model wrote since the last call."""
        if text := self._stream.feed(piece):
            self._text += text
            before = self._document.height(self._columns)
            self._document.grow(text)
            self._show_change(before)

    def finish(self) -> None:
        """Settle what is still open: the reply is over."""
        before = self._document.height(self._columns)
        rest = self._stream.finish()
        whole = self._text + rest
        if (tables := as_tables(whole)) or link_definitions(whole):
            self._document = Document(tables or whole)
        else:
            self._document.grow(rest)
            self._document.finish()
        self._show_change(before)

    def _show_change(self, height: int) -> None:
        self.remove_class("-empty")
        if self._document.height(self._columns) != height:
            self.refresh(layout=True)
        # A table's columns or a fence's colours may change far above the last row.
        elif changed := [y for y in self._drawn if self._kept(y) is None]:
            top, bottom = min(changed), max(changed)
            self.refresh(Region(0, top, self._columns, bottom - top + 1))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._columns = width
        return self._document.height(width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the rows of a region.

        There is no frame around them, so rows that only moved are the strips they were, and
        whatever was made of a strip, down to what is sent to the terminal, is kept with it.
        """
        if self.opacity != 1.0 or "@click" in self.hover_style.meta:
            return super().render_lines(crop)
        strips = [self.render_line(y) for y in crop.line_range]
        _, background = self.background_colors
        for line_filter in self.get_line_filters():
            strips = [strip.apply_filter(line_filter, background) for strip in strips]
        return [strip.crop(*crop.column_span) for strip in strips]

    def render_line(self, y: int) -> Strip:
        """Return one row, whose cells carry their place in the text for selections."""
        if not self.is_attached:  # it was replaced, and is painted once more
            return self._drawn[y][1] if y in self._drawn else Strip.blank(self._columns)
        width, base = self._columns, self.visual_style
        look = (width, base, self.app.theme, self.text_selection)
        if look != self._look:
            self._drawn.clear()
            self._look = look
        if (kept := self._kept(y)) is not None:
            return kept
        line = self._document.line(width, y)
        if line is None:
            strip = Strip.blank(width, base.rich_style).apply_offsets(0, y)
        else:
            content = self._selected(line, y)
            segments = [
                Segment(text, style.rich_style)
                for text, style in content.render(base, end="", parse_style=_parsed)
            ]
            strip = Strip(segments, content.cell_length).apply_offsets(0, y)
            strip = strip.adjust_cell_length(width, base.rich_style)
        self._drawn[y] = (line, strip)
        if len(self._drawn) > 2 * DRAWN:
            self._drawn = {at: row for at, row in self._drawn.items() if abs(at - y) < DRAWN}
        return strip

    def _kept(self, y: int) -> Strip | None:
        """Return a row as it was drawn; None when it would look different now."""
        if y not in self._drawn:
            return None
        before, strip = self._drawn[y]
        line = self._document.line(self._columns, y)
        if line is None or before is None:
            return strip if line is before else None
        return strip if line.content.is_same(before.content) else None

    def _selected(self, line: Line, y: int) -> Content:
        selection = self.text_selection
        span = selection.get_span(y) if selection is not None else None
        if span is None:
            return line.content
        start, end = span
        style = self.screen.get_visual_style("screen--selection")
        return line.content.stylize(style, start, len(line.content) if end == -1 else end)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text as it was written, without this window's breaks and indents."""
        width = self._columns
        pieces: list[str] = []
        for y in range(self._document.height(width)):
            if (span := selection.get_span(y)) is None:
                continue
            line = self._document.line(width, y) or Line(Content(""))
            start, end = span
            text = line.content.plain[max(start, line.lead) : None if end == -1 else end]
            pieces += [line.joint if pieces else "", text.rstrip()]
        return "".join(pieces), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def action_link(self, address: str) -> None:
        self.post_message(self.LinkClicked(address))


def _parsed(style: str | Style) -> Style:
    return style if isinstance(style, Style) else Style.parse(style)
