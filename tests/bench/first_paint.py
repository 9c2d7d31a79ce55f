"""CPU seconds of the app until its first screen stands, in a real pseudo-terminal.

    python -m tests.bench.first_paint [--runs 9]

Counts user and system time of the app's process when the composer's prompt has been
written to the terminal (``first_paint``), and when all is there that the store knows
(``all``): for a home where the app never was, which then welcomes a person, and for
one with 200 chats in the list. Prints one JSON object. The limit is 1 second.

``work_cpu_s`` is what a fixed piece of work took in between.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from tests.bench.pseudo_terminal import PseudoTerminal, used_home, work_cpu_s
from tests.bench.tui_open import fill
from tui.widgets.welcome import DEMO_SAYS

SHOWN = b"sk about a picture"  # the cursor stands on the first letter
CHATS = 200
HOMES = {"new": DEMO_SAYS.encode(), "chats": b"Chat 199"}
"""Text that is shown last."""


def start(kind: str, home: Path) -> tuple[float, float, float]:
    """CPU seconds at the first paint, wall seconds then, CPU seconds when all is there."""
    environment = used_home(home)
    if kind == "new":
        for path in (home / "config.toml", *home.glob("phichat.db*")):
            path.unlink(missing_ok=True)
    else:
        environment["PHICHAT_MODEL"] = f"{home}/no-model"  # nothing loads
    with PseudoTerminal(["-m", "assistant.cli"], environment) as terminal:
        terminal.read_until(SHOWN)
        cpu_s, wall_s = terminal.cpu_s, time.perf_counter() - terminal.started
        terminal.read_until(HOMES[kind])
        return cpu_s, wall_s, terminal.cpu_s


def main() -> None:
    """Measure several starts of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    result: dict[str, object] = {"limit": 1.0}
    works = []
    for kind in HOMES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            home = Path(folder)
            if kind == "chats":
                fill(home / "phichat.db", 2, CHATS)
            start(kind, home)  # writes bytecode
            starts = []
            for _ in range(runs):
                starts.append(start(kind, home))
                works.append(work_cpu_s())
        paints, walls, complete = (sorted(column) for column in zip(*starts, strict=True))
        middle = runs // 2
        result[kind] = {
            "first_paint_cpu_s": {"best": paints[0], "median": paints[middle]},
            "first_paint_wall_s": {"best": round(walls[0], 2), "median": round(walls[middle], 2)},
            "all_cpu_s": {"best": complete[0], "median": complete[middle]},
        }
    result["work_cpu_s"] = {"best": round(min(works), 3), "worst": round(max(works), 3)}
    print(json.dumps(result | {"load": round(os.getloadavg()[0], 1)}))


if __name__ == "__main__":
    main()
