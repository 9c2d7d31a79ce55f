"""Text below its first row indented, wherever lines break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.visual import RenderOptions, Visual

from tui.markdown.lines import Line, indented, wrapped

if TYPE_CHECKING:
    from textual.css.styles import RulesMap
    from textual.strip import Strip
    from textual.style import Style


class Indented(Visual):
    """Texts, each beside its mark; all but their first rows are indented by ``indent`` cells."""

    def __init__(self, indent: int, *texts: tuple[Content, Content]) -> None:
        self._indent = Content(" " * indent)
        self._texts = texts

    def __str__(self) -> str:
        return "\n".join(mark.plain + text.plain for mark, text in self._texts)

    def _at(self, width: int) -> Content:
        rows: list[Line] = []
        for mark, text in self._texts:
            lines = wrapped(text, width - len(self._indent))
            rows += indented(lines, mark, self._indent, copied=True)
        return Content("\n").join(row.content for row in rows)

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        return self._at(width).render_strips(width, height, style, options)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        return self._at(container_width).get_optimal_width(rules, container_width)

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self._at(width).get_height(rules, width)
