"""Chip of a picture that is being opened or fetched, in a thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import ClassVar

from textual import on, work
from textual.content import Content
from textual.message import Message

from assistant.values.conversation import PictureFile
from assistant.values.errors import PhichatError
from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.keys import OPENING_KEYS, bindings
from tui.widgets.chip import CROSS, NAME_WIDTH, CrossedChip
from tui.widgets.turn_run import unexpected_words

log = logging.getLogger(__name__)

Watch = Callable[[int, int], None]
OpenPictures = Callable[[Watch], Iterable[PictureFile]]
"""Opens a picture, or pages (in a thread); calls its argument with the bytes that arrived, of how
many."""

LOOKS_PER_S = 8.0
MOST_NAMES = 4


class GivenUpError(Exception):
    """The chip of this picture was taken off."""


class OpeningChip(CrossedChip):
    """Keeps the place of a picture until it is opened; taking it off ends a fetch."""

    BINDINGS: ClassVar = bindings(OPENING_KEYS)

    @dataclass
    class Arrived(Message):
        """``done`` of ``total`` bytes are here; ``total`` 0 means that it is not known."""

        done: int
        total: int

    @dataclass
    class Opened(Message):
        """The picture, or another page, was opened and checked."""

        chip: OpeningChip
        file: PictureFile

    @dataclass
    class Finished(Message):
        """There are no more."""

        chip: OpeningChip

    @dataclass
    class Refused(Message):
        """It was not; ``reason`` is one plain sentence, ``code`` its word for programs."""

        chip: OpeningChip
        reason: str
        code: str = ""

    def __init__(self, label: str, open_pictures: OpenPictures, instead: str = "") -> None:
        super().__init__()
        self.instead = instead
        """Text to be pasted where there is no such picture."""
        self.name_shown = label
        self._open_pictures = open_pictures
        self._left = threading.Event()

    def on_mount(self) -> None:
        self._show("")
        self._open()

    def on_unmount(self) -> None:
        self._left.set()

    @work(thread=True, group="opening")
    def _open(self) -> None:
        posted = 0.0

        def watch(done: int, total: int) -> None:
            nonlocal posted
            if self._left.is_set():
                raise GivenUpError
            if (now := monotonic()) - posted >= 1 / LOOKS_PER_S:
                posted = now
                self.post_message(self.Arrived(done, total))

        try:
            for file in self._open_pictures(watch):
                self.post_message(self.Opened(self, file))
            self.post_message(self.Finished(self))
        except GivenUpError:
            return
        except PhichatError as refused:
            self.post_message(self.Refused(self, str(refused), refused.code))
        except Exception as unexpected:  # a decoder's surprise is one refused picture
            log.exception("a picture could not be opened")
            self.post_message(self.Refused(self, unexpected_words(unexpected)))

    @on(Arrived)
    def _show_arrived(self, event: Arrived) -> None:
        event.stop()
        done = file_size(event.done)
        if event.done == event.total:  # it is being decoded
            self._show("")
        elif event.total:
            percent = min(100, 100 * event.done // event.total)
            self._show(f" {percent} % of {file_size(event.total)}")
        else:
            self._show(f" {done}")

    def _show(self, progress: str) -> None:
        is_address = "://" in self.name_shown or self.name_shown.startswith("data:")
        name = self.name_shown if is_address else Path(self.name_shown).name
        self.label.update(
            Content.assemble(
                (
                    f"opening {one_line(name, NAME_WIDTH)}{progress or ' …'}",
                    "italic $phi-quiet",
                ),
                (CROSS, "$phi-quiet"),
            )
        )


def refusal_words(refused: Sequence[OpeningChip.Refused]) -> str:
    """Return one sentence about the pictures that were refused, at least one."""
    reason = refused[0].reason
    if len(refused) == 1:
        return reason
    names = [one_line(Path(one.chip.name_shown).name, NAME_WIDTH) for one in refused]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    what = f"{counted(len(refused), 'picture')} can't be attached"
    return f"{what}: {', '.join(names[:MOST_NAMES])}{more}. Of the first: {reason}"
