"""Standard input of ``phichat chat --plain``: lines, and answers of a terminal that was asked."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from assistant.values.errors import PictureError
from tui.terminal.asked_clipboard import AskedClipboard
from tui.terminal.packets import Packets

CHUNK = 1 << 16


class PlainInput:
    """Reads standard input in one thread; another may ask the terminal meanwhile."""

    def __init__(self) -> None:
        self._packets = Packets()
        self._asked = AskedClipboard(_write, os.environ)

    def lines(self) -> Iterator[str]:
        """Read lines to the end of the input; one that ends with a backslash goes on."""
        begun = ""
        for line in self._plain_lines():
            if line.endswith("\\"):
                begun += f"{line[:-1]}\n"
            else:
                yield begun + line
                begun = ""
        if begun:
            yield begun.removesuffix("\n")

    def _plain_lines(self) -> Iterator[str]:
        decoder, left = codecs.getincrementaldecoder(sys.stdin.encoding)("replace"), ""
        while data := os.read(sys.stdin.fileno(), CHUNK):
            kept, packets = self._packets.take(decoder.decode(data))
            for packet in packets:
                self._asked.take(packet)
            *whole, left = (left + kept).split("\n")
            yield from whole
        if left:
            yield left

    @property
    def is_terminal(self) -> bool:
        """There is a terminal that can be asked."""
        return sys.stdin.isatty() and sys.stdout.isatty()

    def ask_terminal(self, media_types: Sequence[str]) -> bytes:
        """Read a picture of the first of these types in the terminal's clipboard.

        Raises PictureError, for ctrl-C too.
        """
        try:
            with _unechoed():
                return self._asked.read(media_types, lambda done, total: None)
        except KeyboardInterrupt:
            raise PictureError("The terminal is asked no longer.") from None


@contextmanager
def _unechoed() -> Iterator[None]:
    """Have the terminal pass on what comes as it comes, unseen: an answer ends with no new line."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _write(sequence: str) -> None:
    sys.stdout.write(sequence)
    sys.stdout.flush()
