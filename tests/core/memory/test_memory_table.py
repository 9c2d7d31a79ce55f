"""docs/models.md says what the planner says."""

from __future__ import annotations

from docs.memory_table import BEGIN, END, PAGE, in_step


def test_the_page_is_in_step() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert in_step(page) == page, "run: python -m docs.memory_table"
