"""CPU seconds of the app until its first screen stands, in a real pseudo-terminal.

    python -m tests.bench.first_paint [--runs 5]

Counts user and system time of the app's process when the composer's prompt has
been written to the terminal. Prints one JSON object. The limit is 1 second.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import signal
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

SHOWN = b"sk about a picture"  # the cursor stands on the first letter


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_paint(home: str) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of one start."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"PHICHAT_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execv(sys.executable, [sys.executable, "-m", "assistant.cli"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    written = b""
    try:
        while SHOWN not in written:
            written += os.read(terminal, 65536)
        return cpu_seconds(pid), time.perf_counter() - started
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def main() -> None:
    """Measure several starts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        first_paint(home)  # writes bytecode, makes the database
        measured = sorted(first_paint(home) for _ in range(runs))
    print(
        json.dumps(
            {
                "first_paint_cpu_s": measured[len(measured) // 2][0],
                "min": measured[0][0],
                "max": measured[-1][0],
                "wall_s": round(sorted(wall for _, wall in measured)[len(measured) // 2], 2),
                "limit": 1.0,
            }
        )
    )


if __name__ == "__main__":
    main()
