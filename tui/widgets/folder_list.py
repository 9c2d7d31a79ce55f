"""List of the folders and pictures in one folder; several pictures can be marked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from assistant.values.text import one_line
from tui.widgets.completion import is_folder, looks_like_picture

MOST = 1000
"""Rows at most; typing finds the others."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Paths in a folder."""

    folder: Path
    paths: tuple[Path, ...]


class FolderList(OptionList):
    """Hidden files don't show; suffixes count in either case."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", show=False),
        Binding("left", "leave_folder", "The folder above", show=False),
    ]

    @dataclass
    class Chosen(Message):
        """Enter was pressed on a path, or it was clicked."""

        path: Path

    @dataclass
    class Highlighted(Message):
        """The cursor is on another path, or on none."""

        path: Path | None

    class Marked(Message):
        """A picture was marked, or is no longer."""

    class LeftUp(Message):
        """The cursor left the list at its top."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path()
        self.marked: dict[Path, None] = {}
        """The marked pictures, in order."""
        self._paths: list[Path] = []

    @property
    def path(self) -> Path | None:
        """The path under the cursor."""
        return None if self.highlighted is None else self._paths[self.highlighted]

    def show_listing(self, listing: Listing) -> None:
        """Show the paths that were read, the cursor on a picture."""
        self.folder = listing.folder
        self._paths = list(listing.paths)
        pictures = (n for n, path in enumerate(self._paths) if looks_like_picture(path))
        self._show(next(pictures, 0 if self._paths else None))
        self.post_message(self.Highlighted(self.path))

    def empty(self) -> None:
        """List nothing: no folder is meant."""
        self._paths = []
        self._show(None)
        self.post_message(self.Highlighted(None))

    def _show(self, highlighted: int | None) -> None:
        self.clear_options()
        self.add_options(map(self._row, self._paths))
        self.highlighted = highlighted

    def _row(self, path: Path) -> Option:
        if not looks_like_picture(path):
            name = ".." if path == self.folder.parent else path.name
            return Option(Content.assemble(("  ▸ ", "$phi-quiet"), f"{one_line(name) or '?'}/"))
        mark = ("✓ ", "bold $success") if path in self.marked else ("  ", "")
        return Option(Content.assemble(mark, ("▣ ", "$primary"), one_line(path.name) or "?"))

    def action_cursor_up(self) -> None:
        """Move up; from the first row to what is above the list."""
        if self.highlighted:
            super().action_cursor_up()
        else:
            self.post_message(self.LeftUp())

    def action_mark(self) -> None:
        """Mark the picture under the cursor, or mark it no longer, and go on."""
        path, place = self.path, self.highlighted
        if path is None or place is None or not looks_like_picture(path):
            return
        if path in self.marked:
            del self.marked[path]
        else:
            self.marked[path] = None
        self._show(min(place + 1, len(self._paths) - 1))
        self.post_message(self.Marked())

    def action_leave_folder(self) -> None:
        """Go to the folder above."""
        self.post_message(self.Chosen(self.folder.parent))

    @on(OptionList.OptionHighlighted)
    def _tell_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.post_message(self.Highlighted(self.path))

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_index < len(self._paths):  # else another folder is listed by now
            self.post_message(self.Chosen(self._paths[event.option_index]))


def read_folder(start: Path, typed: str) -> Listing | None:
    """List the folder that is typed, filtered by the words that follow it. The disk may hang.

    Names that begin so come first. None where no folder is meant.
    """
    place, slash, wanted = typed.rpartition("/")
    folder = Path(os.path.abspath(start / os.path.expanduser(place + slash)))
    if not os.path.isdir(folder):
        return None
    return Listing(folder, tuple(_listed(folder, wanted.lower())))


def _listed(folder: Path, wanted: str) -> Iterator[Path]:
    if not wanted and folder.parent != folder:
        yield folder.parent
    try:
        with os.scandir(folder) as entries:
            names = [
                (entry.name, is_folder(entry))
                for entry in entries
                if wanted in entry.name.lower()
                and not entry.name.startswith(".")
                and (is_folder(entry) or looks_like_picture(entry.name))
            ]
    except OSError:  # a folder that may not be looked into
        return
    names.sort(key=lambda one: (not one[0].lower().startswith(wanted), not one[1], one[0].lower()))
    for name, _ in names[:MOST]:
        yield folder / name
