"""A program in a pseudo-terminal of our own, what it writes and what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROWS, COLUMNS = 40, 120


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process, all its threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Memory of a running process in MB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def work_cpu_s() -> float:
    """CPU seconds of a fixed piece of work.

    What shares the machine's cores makes CPU seconds longer too: runs are compared by this.
    """
    began, texts = time.process_time(), {}
    for number in range(500_000):
        texts[number % 1000] = str(number)
    return time.process_time() - began


def used_home(home: Path) -> dict[str, str]:
    """The environment of a home where the app was before: it doesn't introduce itself again."""
    (home / "config.toml").touch()
    return {"PHICHAT_HOME": str(home)}


class PseudoTerminal:
    """Runs ``python ARGUMENTS`` with a terminal of 120 x 40 cells that answers no question."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.started = time.perf_counter()
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            # The first two would outdo the terminal's own size. A start that compiles every
            # module takes half as long again: people have bytecode from their second one on.
            for name in ("COLUMNS", "LINES", "PYTHONDONTWRITEBYTECODE"):
                os.environ.pop(name, None)
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | dict(environment)
            os.execv(sys.executable, [sys.executable, *arguments])
        self.resize(COLUMNS)

    def resize(self, columns: int) -> None:
        """Make the window so wide."""
        size = struct.pack("HHHH", ROWS, columns, 0, 0)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.descriptor, keys)

    def read(self, seconds: float) -> bytes:
        """Read what the program writes within ``seconds``, as soon as there is something."""
        ready, _, _ = select.select([self.descriptor], [], [], max(0.0, seconds))
        try:
            return os.read(self.descriptor, 65536) if ready else b""
        except OSError:  # it ended
            return b""

    def read_until(self, shown: bytes, seconds: float = 60.0) -> None:
        """Read until ``shown`` was written. Raises TimeoutError."""
        written, deadline = b"", time.perf_counter() + seconds
        while shown not in written:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{shown!r} was never written; the last was {written[-500:]!r}")
            written = written[-len(shown) :] + self.read(0.5)

    def read_for(self, seconds: float) -> bytes:
        """Read for ``seconds``."""
        written, deadline = b"", time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            written += self.read(left)
        return written

    @property
    def cpu_s(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.pid)

    def close(self) -> None:
        """End the program."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()
