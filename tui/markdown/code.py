"""Code blocks with syntax colours, whole or still growing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from textual.content import Content

from tui.markdown.lines import NEW_LINE, Line, Rows, wrapped

PADDING = 2
GROUND = "on $phi-code"
COLOURED_AT_ONCE = 16
"""Lines of growing code that are coloured again with every new one; older ones keep theirs."""


class Code(Rows):
    """A fenced or indented block of code; lines that are too long are folded."""

    def __init__(self, info: str, *, gap: bool) -> None:
        super().__init__(gap=gap)
        words = info.split()
        self.language = words[0] if words else ""
        self._source: list[str] = []
        self._coloured: list[Content] = []
        """As many as ``_source`` has lines, in colour up to ``_final``."""
        self._final = 0
        self._open: list[Content] = []

    @property
    def text(self) -> str:
        return "\n".join(self._source)

    def append(self, text: str) -> None:
        """Add complete lines."""
        if text:
            self._source += text.removesuffix("\n").split("\n")
            tail = self._source[self._final :]
            self._coloured[self._final :] = self._colours(tail)
            self.changed(self._final + 1)  # the language stands in the first part
            if len(tail) >= COLOURED_AT_ONCE:
                self._final = len(self._source)
        self.show_open("")

    def show_open(self, text: str) -> None:
        """Show lines that may still change below the complete ones."""
        self._open = self._colours(text.removesuffix("\n").split("\n")) if text else []
        self.changed(len(self._coloured) + 1)

    def close(self) -> None:
        """Colour the complete code as one."""
        if self._final:
            self._coloured = self._colours(self._source)
            self.changed()
        self.show_open("")

    def _colours(self, lines: Sequence[str]) -> list[Content]:
        source = "\n".join(lines)
        if not source.strip() or not _has_lexer(self.language):
            return [Content(line) for line in lines]
        from textual.highlight import highlight  # late: Pygments is large

        coloured = highlight(_one_kind_of_break(source), language=self.language)
        found = coloured.split("\n", allow_blank=True)[: len(lines)]
        return found + [Content("")] * (len(lines) - len(found))

    def _lines(self) -> list[Content]:
        return self._coloured + self._open

    def heights(self, width: int, begin: int) -> Iterable[int]:
        """Count a row for the language, the rows of the code, and a row below."""
        inner = max(1, width - 2 * PADDING)
        if begin == 0:
            yield 1
        for line in self._lines()[max(0, begin - 1) :]:
            fits = "\t" not in line.plain and line.cell_length <= inner
            yield 1 if fits else len(wrapped(line, inner))
        yield 1

    def part(self, width: int, index: int) -> Sequence[Line]:
        """Make the rows of one line of code."""
        code = self._lines()
        if index == 0 or index > len(code):
            label = f"{self.language} ".rjust(width)[-width:] if index == 0 else " " * width
            return [Line(Content.styled(label, f"$phi-faint {GROUND}"), lead=len(label))]
        inner = max(1, width - 2 * PADDING)
        return [
            Line(_on_ground(row.content, width), row.joint, PADDING)
            for row in wrapped(code[index - 1], inner) or [Line(Content(""), NEW_LINE)]
        ]


@cache
def _has_lexer(language: str) -> bool:
    """Say whether Pygments knows the language; looking for one that it doesn't know is slow."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        get_lexer_by_name(language)
    except ClassNotFound:
        return False
    return True


def _on_ground(row: Content, width: int) -> Content:
    padded = row.pad(PADDING, max(0, width - PADDING - row.cell_length))
    return padded.stylize_before(GROUND)


def _one_kind_of_break(source: str) -> str:
    """Replace Unicode's other line separators by blanks, so that the number of lines stays."""
    return "".join(" " if c in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029" else c for c in source)
