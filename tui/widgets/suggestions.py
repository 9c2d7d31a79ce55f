"""Suggestions below the text: what can be typed next, and what a #number refers to."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from assistant.values.text import one_line
from tui.widgets.completion import KnownPicture, mistaken_slash, references

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

    def look_at(
        self, text: str, pictures: Sequence[KnownPicture], names: Sequence[str] = ()
    ) -> None:
        """Say what tab does, and which pictures are referred to; ``names`` are those of files."""
        self._show([*_mistaken(text), *_named(names), *_references(text, pictures)])

    def _show(self, lines: Sequence[Content]) -> None:
        words = Content("\n").join(lines)
        if self.content != words:  # most keys change nothing here, and an update lays out all
            self.update(words)
            self.display = bool(lines)


def _mistaken(text: str) -> list[Content]:
    name = text.partition(" ")[0]
    slash = mistaken_slash(name) if text.startswith("/") and "\n" not in text else None
    if slash is None:
        return []
    return [
        Content.assemble(
            (f"{one_line(name, 30)} is no command", "$warning"),
            (" · tab: ", "$phi-quiet"),
            (slash.name, "bold $primary"),
            (f" {slash.does}", "$phi-quiet"),
        )
    ]


def _named(names: Sequence[str]) -> list[Content]:
    if not names:
        return []
    shown = ", ".join(one_line(name, 40) for name in names[:MOST_REFERENCES])
    more = f" and {len(names) - MOST_REFERENCES} more" if len(names) > MOST_REFERENCES else ""
    does = f" · tab attaches {'it' if len(names) == 1 else 'them'}"
    return [Content.assemble((shown + more, "bold $primary"), (does, "$phi-quiet"))]


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
