"""Preview of the picture under the cursor of the picker, with its facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from assistant.values.conversation import PictureFile
from assistant.values.errors import PhichatError
from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.terminal.detect import PictureProtocol
from tui.widgets.chip_unopened import GivenUpError, Watch
from tui.widgets.gallery import Gallery
from tui.widgets.picture_drawing import PictureDrawing
from tui.widgets.turn_run import unexpected_words

COLUMNS, ROWS = 30, 12

LookAt = Callable[[str, Watch], tuple[PictureFile, int]]
"""Opens a picture (in a thread) and counts what it takes in the prompt. Raises PhichatError, and
what the watch raises."""


class PicturePreview(Vertical):
    """Preview that opens pictures in a thread and skips those passed by quickly."""

    @dataclass
    class LookedAt(Message):
        """A picture was opened, or could not be, and ``words`` say why."""

        file: PictureFile | None
        words: str

    def __init__(self, look_at: LookAt, gallery: Gallery) -> None:
        super().__init__()
        self._look_at = look_at
        self._gallery = gallery

    def compose(self) -> ComposeResult:
        yield Container(classes="cells")
        yield Static(classes="facts")

    async def show(self, path: Path | None) -> None:
        """Show a file, or nothing."""
        if path is None:
            self.workers.cancel_node(self)
            await self._tell(None, "")
        else:
            self._open(str(path))

    @work(thread=True, exclusive=True, group="preview")
    def _open(self, path: str) -> None:
        file: PictureFile | None = None
        worker = get_current_worker()

        def watch(done: int, total: int) -> None:
            if worker.is_cancelled:  # the cursor went on
                raise GivenUpError

        try:
            file, tokens = self._look_at(path, watch)
            words = (
                f"{file.width}×{file.height} · {file_size(len(file.data))}\n"
                f"takes {counted(tokens, 'token')}" + (f"\n{file.notice}" if file.notice else "")
            )
        except GivenUpError:
            return
        except PhichatError as refused:
            words = str(refused)
        except Exception as unexpected:  # a decoder's surprise
            words = unexpected_words(unexpected)
        if not worker.is_cancelled:
            self.post_message(self.LookedAt(file, words))

    @on(LookedAt)
    async def _show_picture(self, event: LookedAt) -> None:
        event.stop()
        await self._tell(event.file, event.words)

    async def _tell(self, file: PictureFile | None, words: str) -> None:
        cells = self.query_one(".cells", Container)
        await cells.remove_children()
        if file is not None and self._gallery.protocol is not PictureProtocol.TEXT:
            await cells.mount(PictureDrawing(file, self._gallery, COLUMNS, ROWS, rests=True))
        lines = [one_line(line) for line in words.splitlines()]
        self.query_one(".facts", Static).update(Content("\n".join(lines)))
