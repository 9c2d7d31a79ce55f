"""Preview of the picture under the cursor of the picker, in half blocks and with its facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import get_current_worker

from assistant.values.conversation import PictureFile
from assistant.values.errors import PhichatError
from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.terminal import half_blocks
from tui.widgets.chip_unopened import GivenUpError, Watch
from tui.widgets.turn_run import unexpected_words

COLUMNS, ROWS = 30, 12

LookAt = Callable[[str, Watch], tuple[PictureFile, int]]
"""Opens a picture (in a thread) and counts what it takes in the prompt. Raises PhichatError, and
what the watch raises."""


class _Cells(Widget):
    """Rows of half blocks."""

    strips: tuple[Strip, ...] = ()

    def show(self, strips: tuple[Strip, ...]) -> None:
        self.strips = strips
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if y < len(self.strips):
            return self.strips[y].crop_extend(0, self.size.width, self.rich_style)
        return Strip.blank(self.size.width, self.rich_style)


class PicturePreview(Vertical):
    """Preview that opens pictures in a thread and skips those passed by quickly."""

    @dataclass
    class LookedAt(Message):
        """A picture was opened, or could not be, and ``words`` say why."""

        strips: tuple[Strip, ...]
        words: str

    def __init__(self, look_at: LookAt) -> None:
        super().__init__()
        self._look_at = look_at

    def compose(self) -> ComposeResult:
        yield _Cells()
        yield Static(classes="facts")

    def show(self, path: Path | None) -> None:
        """Show a file, or nothing."""
        if path is None:
            self.workers.cancel_node(self)
            self._tell((), "")
        else:
            self._open(str(path))

    @work(thread=True, exclusive=True, group="preview")
    def _open(self, path: str) -> None:
        from assistant.pictures import pixels  # late: Pillow is not needed for the first paint

        strips: tuple[Strip, ...] = ()
        worker = get_current_worker()

        def watch(done: int, total: int) -> None:
            if worker.is_cancelled:  # the cursor went on
                raise GivenUpError

        try:
            file, tokens = self._look_at(path, watch)
            columns, rows = half_blocks.fit(file.width, file.height, COLUMNS, ROWS)
            small = pixels(file.thumbnail or file.data, (columns, 2 * rows))
            strips = tuple(half_blocks.draw(small))
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
            self.post_message(self.LookedAt(strips, words))

    @on(LookedAt)
    def _show_picture(self, event: LookedAt) -> None:
        event.stop()
        self._tell(event.strips, event.words)

    def _tell(self, strips: tuple[Strip, ...], words: str) -> None:
        self.query_one(_Cells).show(strips)
        lines = [one_line(line) for line in words.splitlines()]
        self.query_one(".facts", Static).update(Content("\n".join(lines)))
