"""Detection of the picture protocol, before Textual starts and without a stall.

textual-image decides on its own when it is imported: it asks a terminal that may never
answer, for up to two seconds, and divides by zero where a terminal has no columns. So
the decision is made here, and :mod:`tui.terminal.graphics` imports only its encoders.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from tui.terminal import tmux

ANSWER_S = 0.15
"""Seconds that a terminal has for its answer; those that know the question take a few ms."""
DEFAULT_CELL = (10, 20)
"""Pixels of a cell where the terminal doesn't say (a VT340's)."""
LARGEST_CELL = 200
PAGE_PICTURE = "\x1b_phichat-picture:"
"""Start of a message to phichat serve: a picture's number, and its PNG, or nothing to free it."""
PAGE_CELL = "PHICHAT_PAGE_CELL"
"""Variable with the pixels of a cell (``10x20``) on a page of phichat serve that draws pictures."""
PAGE_UPLOADS = "PHICHAT_PAGE_UPLOADS"
"""Variable with the folder of the files that a page of phichat serve sends."""


class PictureProtocol(StrEnum):
    """Protocol that draws pictures; the values are those of the setting ``pictures``."""

    KITTY = "kitty"
    """The kitty graphics protocol with Unicode placeholders: scrolls like text."""
    SIXEL = "sixel"
    PAGE = "page"
    """The page of ``phichat serve`` lays pictures over cells that name them; no setting's value."""
    HALFBLOCKS = "halfblocks"
    """Two pixels a cell: works wherever there are colours."""
    TEXT = "text"
    """A line that names the picture."""


class Colours(IntEnum):
    """Number of colours that a terminal draws."""

    TRUE = 2**24
    PALETTE = 256
    """xterm's: 216 of a cube and 24 greys that no setting of the terminal changes."""
    NAMED = 16
    """Those that the user of the terminal chose, if it has more than eight."""


@dataclass(frozen=True, slots=True)
class Graphics:
    """The protocol, the width and height of a cell in pixels, background and colours."""

    protocol: PictureProtocol = PictureProtocol.HALFBLOCKS
    cell: tuple[int, int] = DEFAULT_CELL
    is_light: bool = False
    """The terminal's own background is light, as far as it is known."""
    colours: Colours = Colours.TRUE
    audience: tmux.Audience | None = field(default=None, compare=False)
    """The attached terminals, in a tmux that passes pictures on; they change while the app runs."""
    typed: str = ""
    """Text that the user typed before the terminal was asked; the asking read it."""


Ask = Callable[[], str]
"""Asks the terminal and returns what it answered in time."""
Measure = Callable[[], tuple[int, int]]
"""Returns the width and height of a cell in pixels as the kernel knows it."""

# Its name and version, the size of a cell in pixels, its background, and what every terminal
# answers, so that the end of the answers is known. Kitty's own question isn't asked: Terminal.app
# prints it.
QUESTION = "\x1b[>q\x1b[16t\x1b]11;?\x1b\\\x1b[c"
ANSWERS = re.compile(
    r"\x1bP>\|[^\x1b]*\x1b\\|\x1b\[6;\d+;\d+t|\x1b\]11;[^\x1b\x07]*(?:\x07|\x1b\\)|\x1b\[\?[\d;]*c"
)
"""The answers to it."""
_VERSION = re.compile(r"\x1bP>\|([^\x1b]{0,80})")
_XTERM = re.compile(r"\x1bP>\|XTerm\(")
"""xterm draws 256 colours, whatever TERM says."""
_CELL = re.compile(r"\x1b\[6;(\d{1,4});(\d{1,4})t")
_ATTRIBUTES = re.compile(r"\x1b\[\?([\d;]*)c")
_PAGE = re.compile(r"(\d{1,4})x(\d{1,4})")
_BACKGROUND = re.compile(r"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")
_SIXEL_ATTRIBUTE = "4"
EYE = (0.299, 0.587, 0.114)
"""Parts that red, green and blue have in brightness."""
LIGHT = 0.5
"""Share of white from which a background is light."""

_NO_PICTURES = ("dumb", "linux", "vt", "unknown")
_MULTIPLEXED = ("screen", "tmux")
_TRUE = ("truecolor", "24bit")
_TRUE_TERMS = ("direct", "kitty", "ghostty", "foot", "alacritty", "contour", "wezterm")


def choose(
    setting: str,
    environ: Mapping[str, str] | None = None,
    ask: Ask | None = None,
    measure: Measure | None = None,
    *,
    ask_tmux: tmux.Ask | None = None,
    needs_background: bool = False,
) -> Graphics:
    """Choose how to draw pictures, and look at the background where a theme depends on it.

    Never raises, asks once, takes 0.15 s at most; in tmux that is asked, and takes a few ms.
    """
    environ = os.environ if environ is None else environ
    ask = ask_terminal if ask is None else ask
    answers: list[str] = []

    def once() -> str:
        if not answers:
            answers.append(ask())
        return answers[0]

    graphics = _in_tmux(setting, environ, ask_tmux) or _choose(
        setting, environ, once, kernel_cell if measure is None else measure
    )
    if graphics.audience is not None:  # tmux itself knows 256 at least, and so do those numbers
        graphics = replace(graphics, colours=max(colours_of(environ), Colours.PALETTE))
    elif graphics.protocol is not PictureProtocol.KITTY:  # its numbers of pictures are true colours
        has_palette = answers and _XTERM.search(answers[0])
        least = Colours.PALETTE if has_palette else Colours.NAMED
        graphics = replace(graphics, colours=max(colours_of(environ), least))
    needs_background = needs_background or graphics.colours <= Colours.NAMED
    if needs_background and (answers or _may_ask_background(environ)):
        graphics = replace(graphics, is_light=_is_light(once()))
    return replace(graphics, typed=_typed(answers[0])) if answers else graphics


def _typed(answer: str) -> str:
    """Return what is no answer; of a half answer, and behind it, nothing."""
    return ANSWERS.sub("", answer).partition("\x1b")[0]


def colours_of(environ: Mapping[str, str]) -> Colours:
    """Read how many colours there are; ssh passes on TERM, and COLORTERM seldom."""
    names = (environ.get("COLORTERM", ""), environ.get("TEXTUAL_COLOR_SYSTEM", ""))
    term = environ.get("TERM", "").strip().lower()
    if term.endswith(_TRUE_TERMS) or any(name.strip().lower() in _TRUE for name in names):
        return Colours.TRUE
    return Colours.PALETTE if term.endswith("256color") else Colours.NAMED


def _may_ask_background(environ: Mapping[str, str]) -> bool:
    """Say whether the terminal answers, and at once; tmux does so for the one that it is in."""
    if environ.get("TERM", "dumb").lower().startswith(_NO_PICTURES):
        return False
    inside = {**environ, "TERM": "", "TMUX": ""} if environ.get("TMUX") else environ
    return _may_ask(inside)


def _is_light(answer: str) -> bool:
    found = _BACKGROUND.search(answer)
    if not found:
        return False
    shares = (int(part, 16) / float(16 ** len(part) - 1) for part in found.groups())
    brightness: float = sum(share * eye for share, eye in zip(shares, EYE, strict=True))
    return brightness > LIGHT


def _in_tmux(setting: str, environ: Mapping[str, str], ask: tmux.Ask | None) -> Graphics | None:
    """Choose in a tmux that passes pictures on to the terminals; None elsewhere."""
    filtered = environ.get("NO_COLOR") or environ.get("TEXTUAL_DRIVER")
    if setting not in ("auto", PictureProtocol.KITTY) or filtered or not environ.get("TMUX"):
        return None
    ask = tmux.asker(environ) if ask is None else ask
    pane = tmux.read(ask())
    if not pane.passes:
        return None
    audience = tmux.Audience(pane, ask, insists=setting != "auto")
    protocol = PictureProtocol.KITTY if audience.draws else PictureProtocol.HALFBLOCKS
    return Graphics(protocol, _sane(*pane.cell) or DEFAULT_CELL, audience=audience)


def _choose(setting: str, environ: Mapping[str, str], ask: Ask, measure: Measure) -> Graphics:
    """Choose a protocol outside of tmux.

    ``setting`` other than "auto" is obeyed. Half blocks are drawn wherever it is not
    certain that more works: in screen, in a browser that is not at our page, over a
    connection that is too slow to answer, where colours are filtered (NO_COLOR).
    """
    if setting in {PictureProtocol.HALFBLOCKS, PictureProtocol.TEXT}:
        return Graphics(PictureProtocol(setting))
    if setting == "auto":
        if environ.get("TEXTUAL_DRIVER"):
            # a browser's terminal, whatever TERM says of the server's
            cell = None if environ.get("NO_COLOR") else _page_cell(environ)
            return Graphics(PictureProtocol.PAGE, cell) if cell else Graphics()
        if environ.get("TERM", "dumb").lower().startswith(_NO_PICTURES):
            return Graphics(PictureProtocol.TEXT)
        if not _may_ask(environ):
            return Graphics()
    answer = ask()
    cell = _answered_cell(answer) or measure()
    if setting != "auto":
        return Graphics(PictureProtocol(setting), cell)
    version = _VERSION.search(answer)
    if version and tmux.draws_placeholders(version[1]):
        return Graphics(PictureProtocol.KITTY, cell)
    attributes = _ATTRIBUTES.search(answer)
    if attributes and _SIXEL_ATTRIBUTE in attributes[1].split(";"):
        return Graphics(PictureProtocol.SIXEL, cell)
    return Graphics(cell=cell)


def _may_ask(environ: Mapping[str, str]) -> bool:
    """Say whether an answer would come in time and be worth something."""
    term = environ.get("TERM", "").lower()
    filtered = environ.get("NO_COLOR") or environ.get("TEXTUAL_DRIVER") or environ.get("TMUX")
    # An answer that comes late would be typed into the composer: over ssh, where the
    # variables of the terminal don't arrive, only those that name themselves are asked.
    far = environ.get("SSH_CONNECTION") or environ.get("SSH_TTY")
    named = any(name in term for name in (*tmux.DRAWS_PLACEHOLDERS, "foot", "contour", "mlterm"))
    return not filtered and not term.startswith(_MULTIPLEXED) and bool(not far or named)


def _answered_cell(answer: str) -> tuple[int, int] | None:
    found = _CELL.search(answer)
    return _sane(int(found[2]), int(found[1])) if found else None


def _page_cell(environ: Mapping[str, str]) -> tuple[int, int] | None:
    found = _PAGE.fullmatch(environ.get(PAGE_CELL, ""))
    return _sane(int(found[1]), int(found[2])) if found else None


def _sane(width: int, height: int) -> tuple[int, int] | None:
    possible = 0 < width <= LARGEST_CELL and 0 < height <= LARGEST_CELL
    return (width, height) if possible else None


def kernel_cell() -> tuple[int, int]:
    """Measure a cell by the window's size in pixels, which xterm tells the kernel alone."""
    try:
        import fcntl
        import termios

        output = sys.__stdout__.fileno() if sys.__stdout__ else -1
        window = fcntl.ioctl(output, termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError, ValueError):
        return DEFAULT_CELL
    rows, columns, width, height = struct.unpack("HHHH", window)
    return _sane(width // max(1, columns), height // max(1, rows)) or DEFAULT_CELL


def ask_terminal() -> str:
    """Ask the terminal on standard input and output; "" where there is none that can be asked."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        return ""
    try:
        terminal = sys.__stdin__.fileno() if sys.__stdin__ else -1
        output = sys.__stdout__.fileno() if sys.__stdout__ else -1
        if not (os.isatty(terminal) and os.isatty(output)):
            return ""
        size = os.get_terminal_size(output)
        if size.columns < 1 or size.lines < 1:
            return ""
        before = termios.tcgetattr(terminal)
    except (OSError, ValueError, termios.error):
        return ""
    try:
        tty.setcbreak(terminal, termios.TCSANOW)  # the answer is not to be echoed
        os.write(output, QUESTION.encode())
        return _answered(terminal)
    except OSError:
        return ""
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _answered(terminal: int) -> str:
    """Read until the last answer is complete or the time is over; typed text comes along."""
    import select

    answer, deadline = b"", time.monotonic() + ANSWER_S
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            break
        piece = os.read(terminal, 1024)
        answer += piece
        if not piece or _ATTRIBUTES.search(answer.decode(errors="replace")):
            break
    return answer.decode(errors="replace")
