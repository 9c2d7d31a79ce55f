"""CPU seconds of the app until its first screen stands, in a real pseudo-terminal.

    python -m tests.bench.first_paint [--runs 5]

Counts user and system time of the app's process when the composer's prompt has
been written to the terminal. Prints one JSON object. The limit is 1 second.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from tests.bench.pseudo_terminal import PseudoTerminal, lived_in

SHOWN = b"sk about a picture"  # the cursor stands on the first letter


def first_paint(home: str) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of one start."""
    with PseudoTerminal(["-m", "assistant.cli"], lived_in(Path(home))) as terminal:
        terminal.read_until(SHOWN)
        return terminal.cpu_s, time.perf_counter() - terminal.started


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
