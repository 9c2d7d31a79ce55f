"""Suggestions below the text: what can be typed next, and what a #number refers to."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from assistant.values.text import one_line
from tui.keys import matching_slashes
from tui.widgets.completion import KnownPicture, references

MOST_COMMANDS = 6
MOST_NAMES = 8
MOST_REFERENCES = 3


class Suggestions(Static):
    """Looks at what is typed; shows nothing where there is nothing to say."""

    def __init__(self) -> None:
        super().__init__(classes="candidates")
        self.display = False

    def show_names(self, names: Sequence[str]) -> None:
        """Show what a completion could become."""
        shown = [one_line(name, 40) for name in names[:MOST_NAMES]]
        if more := len(names) - len(shown):
            shown.append(f"and {more} more")
        self._show([Content("   ".join(shown))] if shown else [])

    def look_at(self, text: str, pictures: Sequence[KnownPicture]) -> None:
        """Say what the commands that begin like this do, or which pictures are referred to."""
        if text.startswith("/") and not any(c.isspace() for c in text):
            self._show(_commands(text))
            return
        self._show(_references(text, pictures))

    def _show(self, lines: Sequence[Content]) -> None:
        words = Content("\n").join(lines)
        if self.content != words:  # most keys change nothing here, and an update lays out all
            self.update(words)
            self.display = bool(lines)


def _commands(text: str) -> list[Content]:
    slashes = matching_slashes(text)
    lines = [
        Content.assemble(
            (f"{slash.name} {slash.argument}".ljust(24), "$foreground"), (slash.does, "$phi-quiet")
        )
        for slash in slashes[:MOST_COMMANDS]
    ]
    if more := len(slashes) - len(lines):
        lines.append(Content.styled(f"and {more} more: F1 lists them all", "$phi-quiet"))
    return lines


def _references(text: str, pictures: Sequence[KnownPicture]) -> list[Content]:
    known = {picture.number: picture for picture in pictures}
    lines = []
    for number in references(text)[:MOST_REFERENCES]:
        picture = known.get(number)
        if picture is None:
            words: tuple[str, str] = (" is no picture of this chat", "$warning")
        elif not picture.is_sent:
            words = (f" {one_line(picture.name, 40)} · attached above", "$phi-quiet")
        elif picture.is_seen:
            words = (f" {one_line(picture.name, 40)} · /picture {number} shows it", "$phi-quiet")
        else:
            words = (
                f" {one_line(picture.name, 40)} · the model no longer sees it: "
                f"/pin #{number} brings it back",
                "$warning",
            )
        lines.append(Content.assemble((f"#{number}", "bold $primary"), words))
    return lines
