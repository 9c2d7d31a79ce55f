"""tmux: the terminals that show its pane, and sequences that it passes on to them.

tmux is asked, not the terminal: it knows the name and version of each terminal that is attached,
and a terminal's own answer would be typed into whichever pane has the focus.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LIMIT_S = 1.0
"""Seconds that tmux has for its answer; it takes a few ms."""
LOOK_S = 1.0
"""Seconds between two looks at who is attached: attaching a terminal of the same size sends no
signal."""

# Since which version. Konsole, WezTerm and older kittys know the protocol without placeholders.
DRAWS_PLACEHOLDERS = {"kitty": (0, 28), "ghostty": (1, 0)}

_PANE = "#{window_id} #{window_zoomed_flag}#{pane_active} #{allow-passthrough}"
_CLIENT = (
    "#{window_id} #{client_pid}/#{client_created} "
    "#{client_cell_width}x#{client_cell_height} #{client_termtype}"
)
_HIDDEN_BY_ZOOM = "10"
_ALLOWED = ("1", "on", "all")
_TERMINAL = re.compile(r"(\w+)[ (](\d{1,4})\.(\d{1,4})")
_CELL = re.compile(r"(\d{1,4})x(\d{1,4})")

Ask = Callable[[], str]
"""Returns a line about the pane, then one for each terminal that is attached; "" without tmux."""


@dataclass(frozen=True, slots=True)
class Pane:
    """Whether tmux passes sequences on, and to whom."""

    passes: bool = False
    viewers: frozenset[str] = frozenset()
    """The attached terminals that show the pane now."""
    draws: bool = False
    """All of them draw kitty's placeholders, and there is one."""
    cell: tuple[int, int] = (0, 0)
    """Width and height of a cell in pixels, of the first of them."""


def draws_placeholders(name: str) -> bool:
    """Say whether a terminal that gives this name and version draws kitty's placeholders."""
    found = _TERMINAL.match(name)
    since = found and DRAWS_PLACEHOLDERS.get(found[1].lower())
    return bool(found and since and (int(found[2]), int(found[3])) >= since)


def asker(environ: Mapping[str, str]) -> Ask:
    """Return how to ask the tmux that this process runs in."""
    pane = environ.get("TMUX_PANE", "")
    command = ["tmux", "display-message", "-p", "-t", pane, _PANE]
    command += [";", "list-clients", "-F", _CLIENT]

    def ask() -> str:
        try:
            return subprocess.run(
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=LIMIT_S,
                check=True,
                encoding="utf-8",
                errors="replace",
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return ""

    return ask if environ.get("TMUX") and pane else str


def read(answer: str) -> Pane:
    """Read what tmux answered. Never raises."""
    about, *clients = answer.splitlines() or [""]
    window, zoom, allowed, *_ = [*about.split(" "), "", "", ""]
    fields = [(*line.split(" ", 3), "", "", "")[:4] for line in clients]
    seen = [] if zoom == _HIDDEN_BY_ZOOM else [one for one in fields if one[0] == window]
    cell = _CELL.fullmatch(seen[0][2]) if seen else None
    return Pane(
        passes=allowed in _ALLOWED,
        viewers=frozenset(one[1] for one in seen),
        draws=bool(seen) and all(draws_placeholders(one[3]) for one in seen),
        cell=(int(cell[1]), int(cell[2])) if cell else (0, 0),
    )


def passed(sequences: str) -> str:
    """Wrap control sequences that end with ST, each by itself, for tmux to pass them on."""
    pieces = (f"{piece}\x1b\\" for piece in sequences.split("\x1b\\") if piece)
    return "".join(f"\x1bPtmux;{piece.replace(chr(27), chr(27) * 2)}\x1b\\" for piece in pieces)


class Audience:
    """The terminals that show a pane, and those of them that hold all pictures sent so far."""

    def __init__(self, pane: Pane, ask: Ask, *, insists: bool = False) -> None:
        self.pane = pane
        self.ask = ask
        self._insists = insists
        """The user's setting says that the terminals draw pictures, whatever tmux says of them."""
        self._holders = pane.viewers

    @property
    def draws(self) -> bool:
        return self.pane.passes and (self._insists or self.pane.draws)

    def note_sent(self) -> None:
        """Note that a picture was sent: tmux drops it for a terminal that looks elsewhere."""
        self._holders &= self.pane.viewers

    def take(self, pane: Pane) -> bool:
        """Take what tmux says now; True where pictures must be drawn again."""
        drew = self.draws
        if not pane.viewers and pane.passes:  # detached: the next is looked at then
            self.pane = Pane(pane.passes, draws=self.pane.draws, cell=self.pane.cell)
            return False
        self.pane = pane
        if drew == self.draws and pane.viewers <= self._holders:
            return False
        self._holders = pane.viewers
        return True
