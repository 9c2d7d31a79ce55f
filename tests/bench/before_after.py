"""Two checkouts side by side, in turn on one machine: a picture's first token, and starts.

    python -m tests.bench.before_after BEFORE [AFTER] [--model FOLDER] [--rounds 2]

``make bench`` runs it too, with its ``--before``. Prints one JSON object with ratios (after over
before, below 1 is better):

- ``picture_1344_ttft_vs_before``: a 1344 x 1344 picture at ``--crops``, asked about at once.
- ``picture_after_typing_ttft_vs_before``: the same, asked about after the worker had time to read
  ahead, where a checkout can.
- ``startup_cpu_s``: CPU seconds of `sessions list`, and of `ask` on the demo with a warm worker
  until its request leaves, and in all.

``work_cpu_s`` is what a fixed piece of work took in between. Each checkout runs in processes of its
own, with this Python's libraries.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.pseudo_terminal import work_cpu_s
from tests.conftest import GOLDENS, ROOT

PICTURE = """
import json, sys, torch
from pathlib import Path
from assistant.core.generate import ResidentModel
from assistant.core.weights import load_model
from assistant.phi3v.crops import CROP, crop_grid
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling

folder, crops = Path(sys.argv[1]), int(sys.argv[2])
model = load_model(folder, device=torch.device("cpu"), dtype=torch.bfloat16, weights="float")
grid = crop_grid(1344, 1344, crops)
slot = Slot("1344", crops, grid.tokens(144))  # of a crop: (336 / 14 / 2)^2
generator = torch.Generator().manual_seed(0)
pixels = torch.randn(grid.crops, 3, CROP, CROP, generator=generator)
prompt = Prompt(((1,), slot, tuple(range(5, 25))))

def views(slot):
    return pixels, (grid.height, grid.width)

def never():
    return False

def ttft(resident):
    return list(resident.generate(prompt, Sampling(max_new_tokens=1), views, never))[-1].ttft_s

asked = ttft(ResidentModel(model, frozenset(), 131072))
typed = ResidentModel(model, frozenset(), 131072)
if hasattr(typed, "read_ahead"):
    typed.read_ahead(Prompt(prompt.parts[:2]), 20, views, never, never)
print(json.dumps({"asked": asked, "after_typing": ttft(typed)}))
"""

ASK = ("ask", "--max-new-tokens", "1", "Hello")
SENT = f"""
import os, sys
from assistant.worker.link import WorkerLink

def send(self, header, payload=b"", send=WorkerLink.send):
    if header["op"] == "generate":
        spent = os.times()
        print("spent", spent.user + spent.system, file=sys.stderr)
    return send(self, header, payload)

WorkerLink.send = send
sys.argv[1:] = {ASK!r}
from assistant.cli.root_command import main
main()
"""
"""`ask`, which says on its standard error what it had spent when its request left."""
COMMANDS = {
    "list": ("-m", "assistant.cli", "sessions", "list"),
    "ask": ("-c", SENT),
    "ask_whole": ("-m", "assistant.cli", *ASK),
}


def run(checkout: Path, *words: str, home: str) -> tuple[str, float]:
    """Run Python in a checkout; returns what it printed and its CPU seconds."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PHICHAT_HOME": home}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or each start would compile every module
    before = os.times()
    done = subprocess.run(
        [sys.executable, *words],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    after = os.times()
    if words == COMMANDS["ask"]:
        (spent,) = (one for one in done.stderr.splitlines() if one.startswith("spent "))
        return done.stdout, float(spent.split()[1])
    spent = after.children_user + after.children_system
    return done.stdout, spent - before.children_user - before.children_system


def main() -> None:
    """Measure both checkouts in turn and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.before_after")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=ROOT)
    parser.add_argument("--model", type=Path, default=GOLDENS / "tiny-phi3v")
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    checkouts = {"before": given.before.resolve(), "after": given.after.resolve()}
    print(json.dumps(measure(checkouts, given.model, given.crops, given.rounds)))


def measure(
    checkouts: dict[str, Path], model: Path, crops: int = 4, rounds: int = 2
) -> dict[str, Any]:
    """Measure ``checkouts`` in turn: "after" and, for ratios and pictures, "before"."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in checkouts}
    works = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        homes = {name: f"{folder}/{name}" for name in checkouts}
        for name, checkout in checkouts.items():  # writes bytecode, starts the worker
            run(checkout, *COMMANDS["ask_whole"], home=homes[name])
        for _ in range(rounds):
            for name, checkout in checkouts.items():
                for command, words in COMMANDS.items():
                    _, cpu_s = run(checkout, *words, home=homes[name])
                    found[name].setdefault(command, []).append(cpu_s)
                works.append(work_cpu_s())
        for _ in range(rounds if len(checkouts) > 1 else 0):
            for name, checkout in checkouts.items():
                arguments = str(model.resolve()), str(crops)
                printed, _ = run(checkout, "-c", PICTURE, *arguments, home=homes[name])
                for key, seconds in json.loads(printed).items():
                    found[name].setdefault(key, []).append(seconds)
    return report(found) | {"work_cpu_s": [round(one, 3) for one in works]}


def report(found: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Ratios of the best, with all figures; None for a ratio without an older checkout."""

    def ratio(key: str) -> float | None:
        if "before" not in found:
            return None
        return float(f"{min(found['after'][key]) / min(found['before'][key]):.3g}")

    return {
        "processor": processor(),
        "picture_1344_ttft_vs_before": ratio("asked"),
        "picture_after_typing_ttft_vs_before": ratio("after_typing"),
        "startup_cpu_s": {
            command: {
                **{
                    name: round(statistics.median(keys[command]), 2) for name, keys in found.items()
                },
                "ratio": ratio(command),
            }
            for command in COMMANDS
        },
        "figures": {
            name: {key: [round(one, 3) for one in all_] for key, all_ in keys.items()}
            for name, keys in found.items()
        },
        "load": round(os.getloadavg()[0], 1),
    }


def processor() -> str:
    """Name the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
