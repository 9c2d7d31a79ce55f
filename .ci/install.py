"""Installation into ``.venv``: one line a step, with its size and the time that it took.

    python3 .ci/install.py [--test] [--torch cpu]

Run by ``make``. What pip (or uv, where it is on the PATH) says goes to
``.venv/install.log``. Needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
WIDTH = len("59 min 59 s")
"""Columns of a time: 1 min 0 s is shorter than 59 min 59 s, which it replaces on the screen."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds without CUDA."""


@dataclass(frozen=True)
class Step:
    """One line on the screen, and the command behind it."""

    title: str
    command: list[str]


def steps(*, test: bool, torch: str, uv: str | None) -> list[Step]:
    """List what to run, in order; ``torch`` is "cpu" or "" for PyPI's build."""
    lock = "requirements-test.lock" if test else "requirements.lock"
    packages = len(re.findall(r"^\S+==", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))
    pin = _torch_pin()
    index = ["--index-url", CPU_INDEX] if torch == "cpu" else []
    if uv:
        install = [uv, "pip", "install", "--python", str(PYTHON)]
        make = [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable]
        make += ["--seed", str(VENV)]  # with pip, by which docs/install.md adds packages
    else:
        install = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
        make = [sys.executable, "-m", "venv", str(VENV)]
    # The order matters. 1) what is locked, by hash, PyTorch's own needs among it; 2) PyTorch,
    # without a hash because its builds differ by machine; 3) phichat, built by what 1) brought.
    locked = [*install, "--no-deps", "--require-hashes", "-r", lock]
    return [
        Step("a virtual environment in .venv", make),
        Step(f"{packages} packages, checked by hash (0.13 GB to download)", locked),
        Step(f"PyTorch, {_size(torch)}", [*install, *index, pin]),
        Step("phichat itself", [*install, "--no-deps", "--no-build-isolation", "-e", "."]),
    ]


def _torch_pin() -> str:
    """Read the pin of torch: ``torch==X.Y.Z``, never a range."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^ *"(torch==[^"]+)"', text, re.MULTILINE)
    assert found, "pyproject.toml pins torch"
    return found[1]


def _size(torch: str) -> str:
    """Describe the size of a finished installation: 1.7 GB were measured for a CPU build."""
    if torch == "cpu":
        return "without CUDA (1.7 GB on disk with everything)"
    if sys.platform == "linux":
        return "with CUDA (5 GB on disk with everything)"
    return "the build for this system"


def run(step: Step, heading: str) -> float:
    """Run a step with a line that counts its seconds on a terminal; return the seconds.

    Raises CalledProcessError.
    """
    started = time.monotonic()
    shown = f"{heading} {step.title} ..."
    if sys.stdout.isatty():  # a line that is wrapped can't be written again in its place
        shown = shown[: shutil.get_terminal_size().columns - WIDTH - 2]
    print(shown, end="", flush=True)
    # the first step makes the folder of the log, so every step writes to a file of its own first
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            step.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            while (code := _ended(process)) is None:
                if sys.stdout.isatty():
                    print(f"\r{shown} {_elapsed(started):<{WIDTH}}", end="", flush=True)
        finally:
            process.terminate()
            output.seek(0)
            VENV.mkdir(exist_ok=True)
            with LOG.open("a", encoding="utf-8") as log:
                log.write(f"$ {' '.join(step.command)}\n{output.read()}\n")
    if sys.stdout.isatty():
        print(f"\r{shown} {_elapsed(started):<{WIDTH}}", flush=True)
    else:
        print(f" {_elapsed(started)}", flush=True)
    if code:
        raise subprocess.CalledProcessError(code, step.command)
    return time.monotonic() - started


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """Wait a second for the end of a process; None if it goes on."""
    try:
        return process.wait(1)
    except subprocess.TimeoutExpired:
        return None


def _elapsed(started: float) -> str:
    seconds = round(time.monotonic() - started)
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def failure(step: Step) -> str:
    """Say in one sentence which step failed, why, and where the rest stands."""
    reasons = {
        r"ensurepip is not available|No module named (?:venv|ensurepip)": (
            "Python's venv module is missing (Debian: apt install python3-venv)"
        ),
        r"No space left on device": "the disk is full",
        r"THESE PACKAGES DO NOT MATCH THE HASHES|[Hh]ash mismatch": (
            "a package is not the one that was locked"
        ),
        r"NameResolutionError|Temporary failure in name resolution|Connection refused"
        r"|ConnectTimeout|Failed to establish a new connection|dns error|Could not connect": (
            "the package index can't be reached"
        ),
        r"No matching distribution|no wheels with a matching": (
            "there is no build for this machine or this Python"
        ),
    }
    said = LOG.read_text(encoding="utf-8").rpartition("\n$ ")[2] if LOG.exists() else ""
    known = (words for pattern, words in reasons.items() if re.search(pattern, said))
    reason = next(known, f"exit code of {Path(step.command[0]).name} not 0")
    return (
        f"Installing {step.title.partition(',')[0]} failed: {reason}; see {LOG.relative_to(ROOT)}."
    )


def main() -> int:
    """Install everything; exit with 1 after a sentence when a step fails."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--test", action="store_true", help="what the tests need, too")
    parser.add_argument("--torch", choices=("", "cpu"), default="", help="cpu: without CUDA")
    args = parser.parse_args()
    uv = shutil.which("uv")
    todo = steps(test=args.test, torch=args.torch, uv=uv)
    if PYTHON.exists() and (uv or PYTHON.with_name("pip").exists()):
        todo = todo[1:]
    elif not args.torch and sys.platform == "linux":
        print("Setting up, once. Without an NVIDIA card, make TORCH=cpu takes 1.7 GB, not 5.")
    started = time.monotonic()
    for number, step in enumerate(todo, 1):
        try:
            run(step, f"[{number}/{len(todo)}]")
        except (subprocess.CalledProcessError, OSError):
            print(failure(step), file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted: the same command goes on.", file=sys.stderr)
            return 130
    print(f"Installed in {_elapsed(started)}.")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PIP_NO_INPUT", "1")
    sys.exit(main())
