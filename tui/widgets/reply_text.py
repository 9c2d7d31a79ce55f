"""The text of a reply: settled blocks as Markdown, the block still open as cheap text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from assistant.plain_text import PlainStream, plain
from tui.blocks import closed_length, new_parser

if TYPE_CHECKING:
    from textual.widgets import Markdown

HEAVY_BLOCK = 1500
"""Appending to a Markdown rebuilds its last block; after a longer one a new widget starts."""


class ReplyText(Vertical):
    """Grows with a stream, or shows a text that is complete.

    A Markdown widget that was started from a partial text and then appended to
    corrupts fences, lists and tables: here every widget starts from "" or gets
    its whole text at once, and only closed blocks ever reach one.
    """

    def __init__(self, text: str = "") -> None:
        """Show ``text``, which must be complete; leave it out to stream with :meth:`grow`."""
        super().__init__()
        self._complete = plain(text)
        self._open = ""
        self._stream = PlainStream()
        self._growing: Markdown | None = None
        self._last_settled = 0

    def compose(self) -> ComposeResult:
        """The complete text, or room for the open block."""
        if self._complete:
            yield self._markdown(self._complete)
        else:
            tail = Static(classes="open-block", markup=False)
            tail.display = False
            yield tail

    async def grow(self, piece: str) -> None:
        """Add what the model wrote since the last call."""
        await self._grow(self._stream.feed(piece))

    async def finish(self) -> None:
        """Settle what is still open: the reply is over."""
        await self._grow(self._stream.finish())
        rest, self._open = self._open, ""
        if rest.strip():
            await self._settle(rest)
        self._show_open()

    async def _grow(self, text: str) -> None:
        if not text:
            return
        self._open += text
        if "\n" in text and (length := closed_length(self._open)):
            closed, self._open = self._open[:length], self._open[length:]
            if closed.strip():
                await self._settle(closed)
        self._show_open()

    async def _settle(self, closed: str) -> None:
        if self._growing is None or self._last_settled > HEAVY_BLOCK or len(closed) > HEAVY_BLOCK:
            self._growing = self._markdown("")
            await self.mount(self._growing, before=self.query_one(".open-block"))
        await self._growing.append(closed)
        self._last_settled = len(closed)

    def _show_open(self) -> None:
        tail = self.query_one(".open-block", Static)
        shown = self._open.strip("\n")
        code = shown.lstrip().startswith(("```", "~~~"))
        if code:  # the fence line is no part of the code
            shown = shown.partition("\n")[2]
        tail.set_class(code, "code")
        tail.display = bool(shown)
        tail.update(Content(shown))

    def _markdown(self, text: str) -> Markdown:
        # late: the Markdown parser costs a tenth of what the first screen may take
        from textual.widgets import Markdown

        return Markdown(text, parser_factory=new_parser, open_links=False)
