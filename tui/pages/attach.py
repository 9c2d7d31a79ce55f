"""Dialog to attach a picture: a path or URL is typed, or a file chosen in the folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text, TextType
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import DirectoryTree, Input, Static, Tree
from textual.widgets.directory_tree import DirEntry

from assistant.values.text import one_line
from tui.keys import PICK_KEYS
from tui.pages.dialog import TypingGoesToField, frame
from tui.textual_fixes import GuardedDialog
from tui.widgets.completion import complete_path, looks_like_picture
from tui.widgets.picture_preview import LookAt, PicturePreview


class PictureTree(DirectoryTree):
    """Folders and picture files; suffixes count in either case, hidden files don't show."""

    # Textual's own icons are emoji, which many terminals draw with a wrong width.
    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "▣ "

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Keep folders and pictures."""
        return [path for path in paths if not path.name.startswith(".") and _offered(path)]

    def process_label(self, label: TextType) -> Text:
        """Show a file's name as it is, but on one line and without escape sequences."""
        return Text(one_line(str(label)) or "?")


def _offered(path: Path) -> bool:
    try:
        return path.is_dir() or looks_like_picture(path)
    except OSError:  # a folder that may not be looked into
        return False


class PathInput(Input):
    """Line for a path, which tab completes before the focus moves on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, priority=True)
    ]

    def action_complete(self) -> None:
        """Complete the path as far as it is certain."""
        # The whole line is one path here: blanks need no escape.
        completion = complete_path('"' + self.value) if self.value else None
        text = completion.text.strip('"').rstrip(" ").rstrip('"') if completion else self.value
        if text == self.value:
            self.screen.focus_next()
        else:
            self.value = text
            self.cursor_position = len(text)


class AttachScreen(TypingGoesToField, GuardedDialog[str | None]):
    """Dialog that returns a path or URL, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in PICK_KEYS if key.action]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012

    def __init__(self, folder: Path, look_at: LookAt) -> None:
        super().__init__()
        self._folder = folder
        self._look_at = look_at

    def compose(self) -> ComposeResult:
        with frame("Attach a picture", "enter attaches · tab completes · esc closes"):
            yield PathInput(placeholder="path or https://…", compact=True)
            yield Static(Content(one_line(str(self._folder))), classes="folder")
            with Horizontal():
                yield PictureTree(self._folder)
                yield PicturePreview(self._look_at)

    @on(Tree.NodeHighlighted)
    def _preview(self, event: Tree.NodeHighlighted[DirEntry]) -> None:
        event.stop()
        entry = event.node.data
        path = entry.path if entry is not None else None
        preview = path if path is not None and looks_like_picture(path) else None
        self.query_one(PicturePreview).show(preview)

    @on(Input.Submitted)
    def _take_typed(self, event: Input.Submitted) -> None:
        event.stop()
        if source := event.value.strip():
            self.dismiss(source)

    @on(DirectoryTree.FileSelected)
    def _take_chosen(self, event: DirectoryTree.FileSelected) -> None:
        event.stop()
        self.dismiss(str(event.path))
