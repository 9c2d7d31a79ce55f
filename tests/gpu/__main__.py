"""All checks on a CUDA device: ``python -m tests.gpu --seconds 150`` prints one JSON document.

Three sides run at once, each in a process: the tests of this folder, what must be right (the
goldens, doctor, ask) and what a model of Phi-3-vision's size takes. A check that fails or takes
too long is a sentence in the document; ``--out FILE`` has what is known so far at any time.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

PYTEST = (
    *("-m", "pytest", "tests/gpu", "-n", "3", "--timeout", "80"),
    *("-vv", "--no-header", "--tb=short", "-rfEs"),  # a name as soon as its test has ended
)
SIDES = ("exact", "full_size")
KEPT = 20_000
"""Characters of what a side said that are kept: the end of it."""


class Report:
    """The document, written to a file whenever something is added."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._lock = file, threading.Lock()
        self.found: dict[str, Any] = {}

    def add(self, side: str, name: str, value: Any) -> None:
        """Put a figure or a sentence under ``side``."""
        with self._lock:
            self.found.setdefault(side, {})[name] = value
            if self._file is not None:
                self._file.write_text(json.dumps(self.found, indent=1), encoding="utf-8")


class Side:
    """A process whose lines are results, ``{"name": …, "value": …}``, or words for people."""

    def __init__(self, name: str, command: list[str], report: Report) -> None:
        self._name, self._report, self._said = name, report, ""
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError, TypeError, KeyError):
                result = json.loads(line)
                self._report.add(self._name, result["name"], result["value"])
                continue
            self._said = (self._said + line)[-KEPT:]
            self._report.add(self._name, "said", self._said.splitlines())

    def wait(self, ends: float) -> None:
        """Wait until it has ended, or end it when its time is over."""
        try:
            code = self._process.wait(max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join(5)
        self._report.add(self._name, "exit", "out of time" if code is None else code)


def main() -> None:
    """Run every side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=480, help="of everything together")
    parser.add_argument("--out", type=Path, help="file for what is known so far")
    parser.add_argument("--only", choices=("tests", *SIDES), help="one side")
    parser.add_argument(
        "--quick", action="store_true", help="tiny, on a CPU too: only shows that everything runs"
    )
    given = parser.parse_args()
    ends = time.monotonic() + given.seconds
    report = Report(given.out)
    commands = {"tests": list(PYTEST)}
    for side in SIDES:
        commands[side] = ["-m", f"tests.gpu.{side}", "--seconds", str(given.seconds - 3)]
        commands[side] += ["--quick"] if given.quick else []
    chosen = [given.only] if given.only else list(commands)
    sides = [Side(name, commands[name], report) for name in chosen]
    for side in sides:
        side.wait(ends)
    print(json.dumps(report.found))


if __name__ == "__main__":
    main()
