"""Dialog to attach pictures: a path or URL is typed, or files are chosen in the folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from assistant.values.text import one_line
from assistant.values.words import counted
from tui.disk import from_disk
from tui.keys import PICK_KEYS, bindings
from tui.pages.dialog import TypingGoesToField, frame
from tui.pages.strip import Picked, StripScreen
from tui.textual_fixes import GuardedDialog
from tui.widgets.completion import complete_path, is_document, looks_like_picture
from tui.widgets.folder_list import FolderList, read_folder
from tui.widgets.gallery import Gallery
from tui.widgets.picture_preview import LookAt, PicturePreview

KEYS = "enter attaches · ↑ ↓ choose · space marks several · esc back"


class PathInput(Input):
    """Line for a path, which tab completes before the focus moves on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, priority=True),
        Binding("down", "screen.enter_list", "To the list", show=False, priority=True),
    ]

    async def action_complete(self) -> None:
        """Complete the path as far as it is certain."""
        # The whole line is one path here: blanks need no escape.
        typed = self.value
        completion = await from_disk(lambda: complete_path('"' + typed)) if typed else None
        text = completion.text.strip('"').rstrip(" ").rstrip('"') if completion else typed
        if text == typed:
            self.screen.focus_next()
        else:
            self.write(text)

    def write(self, text: str) -> None:
        """Replace what was typed."""
        self.value = text
        self.cursor_position = len(text)


class AttachScreen(TypingGoesToField, GuardedDialog[Picked | None]):
    """Dialog that returns paths or a URL, or None; of a document, pages are chosen first."""

    BINDINGS: ClassVar = bindings(PICK_KEYS)

    def __init__(
        self,
        folder: Path,
        look_at: LookAt,
        gallery: Gallery,
        strip: Callable[[str], StripScreen],
    ) -> None:
        super().__init__()
        self._strip = strip
        self._folder = folder.absolute()
        self._preview = PicturePreview(look_at, gallery)
        self._line = PathInput(placeholder="path or https://…", compact=True)
        self._list = FolderList()
        self._place = Static(classes="folder")
        self._looked_for: str | None = None
        """The typed text of which the list shows the folder."""

    def compose(self) -> ComposeResult:
        with frame("Attach pictures", KEYS):
            yield self._line
            yield self._place
            with Horizontal():
                yield self._list
                yield self._preview

    def on_mount(self) -> None:
        self._look_soon("")

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        self._look_soon(event.value)

    def _look_soon(self, typed: str) -> None:
        job: Any = partial(self._look, typed)  # no coroutine yet: another may replace it
        self.run_worker(job, exclusive=True, group="folder")

    async def _look(self, typed: str) -> None:
        """List the folder that is typed, filtered by the words that follow it."""
        listing = await from_disk(lambda: read_folder(self._folder, typed))
        if typed != self._line.value:
            return
        self._looked_for = typed
        if listing is None:
            self._list.empty()
        else:
            self._list.show_listing(listing)
            self._place.update(Content(one_line(_from_home(listing.folder))))

    def action_enter_list(self) -> None:
        """Go from the line to the list."""
        self.set_focus(self._list)

    @on(FolderList.LeftUp)
    def _leave_list(self) -> None:
        self.set_focus(self._line)

    @on(FolderList.Marked)
    def _tell_marked(self) -> None:
        marked = len(self._list.marked)
        title = f"Attach {counted(marked, 'picture')}" if marked else "Attach pictures"
        self.query_one(".dialog").border_title = Content(title)

    @on(FolderList.Highlighted)
    async def _show(self, event: FolderList.Highlighted) -> None:
        path = event.path
        await self._preview.show(path if path is not None and looks_like_picture(path) else None)

    @on(Input.Submitted)
    async def _take_typed(self, event: Input.Submitted) -> None:
        event.stop()
        typed = event.value.strip()
        if self._looked_for != event.value:
            await self._look(event.value)
        whole = self._folder / os.path.expanduser(typed)
        if typed and "://" not in typed and await from_disk(whole.is_file):
            self._take_file(typed)
        elif "://" in typed:
            self._take(typed)
        elif (path := self._list.path) is not None and (typed or self._list.marked):
            await self._choose(path)
        elif typed:
            self._take(typed)

    @on(FolderList.Chosen)
    async def _take_chosen(self, event: FolderList.Chosen) -> None:
        await self._choose(event.path)

    async def _choose(self, path: Path) -> None:
        if await from_disk(path.is_dir):
            self._line.write(self._typed(path))
        else:
            self._take_file(str(path))

    def _take_file(self, path: str) -> None:
        """Return a picture; of a document, ask for pages first."""
        if self._list.marked or not is_document(path):
            self._take(path)
            return

        def chosen(picked: Picked | None) -> None:
            if picked is not None:
                self.dismiss(picked)

        self.app.push_screen(self._strip(path), chosen)

    def _take(self, source: str) -> None:
        """Return what is marked, else ``source``."""
        self.dismiss(Picked(tuple(map(str, self._list.marked)) or (source,)))

    def _typed(self, folder: Path) -> str:
        """Return a folder as it would be typed: from the first one where it is below that."""
        if folder == self._folder:
            return ""
        below = folder.is_relative_to(self._folder)
        path = str(folder.relative_to(self._folder) if below else folder)
        return path if path.endswith("/") else f"{path}/"


def _from_home(folder: Path) -> str:
    """Return a folder's path, with ``~`` in the place of the user's own folder."""
    home = os.path.expanduser("~")
    path = str(folder)
    return "~" + path[len(home) :] if f"{path}/".startswith(f"{home}/") else path
