"""Milliseconds of a token where OpenMP's threads wait long, briefly and not at all by computing.

    python -m tests.bench.make_checkpoint FOLDER --size mid --tokenizer OFFICIAL
    python -m tests.bench.spin_count FOLDER

Each way is measured alone, and beside a process that keeps one core busy; best of three, in turn.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAYS: dict[str, dict[str, str]] = {
    "as the library has it": {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
FORMATS = ("bfloat16", "int8")
TIMES, TOKENS, WARM, POSITIONS = 3, 30, 10, 450


def milliseconds(folder: Path, weights: str) -> float:
    """Decode tokens in this process, whose variables say how threads wait."""
    import torch

    from assistant.core.decode import decode_one_token
    from tests.bench.subjects import filled, ours

    with torch.inference_mode():
        model = ours(folder, weights)
        cache = filled(model, POSITIONS)
        for number in range(WARM + TOKENS):
            if number == WARM:
                started = time.perf_counter()
            decode_one_token(model, 7, cache)
            cache.crop(POSITIONS)
        return 1000 * (time.perf_counter() - started) / TOKENS


@contextmanager
def busy(cores: int) -> Iterator[None]:
    """Keep cores busy, each by a process in a session of its own, like another program's."""
    loop = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(loop, start_new_session=True) for _ in range(cores)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def measured(folder: Path, weights: str, way: dict[str, str]) -> float:
    """Measure in a process of its own: OpenMP reads its variables once."""
    module = "tests.bench.spin_count"
    command = [sys.executable, "-m", module, str(folder), "--weights", weights]
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(command, env=kept | way, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.spin_count")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", choices=FORMATS, help="measure this one, in this process")
    given = parser.parse_args()
    if given.weights is not None:
        print(milliseconds(given.folder, given.weights))
        return
    print(f"load {os.getloadavg()[0]:.1f}\n")
    print("| ms a token | alone | beside a busy process |\n|---|---|---|")
    for weights in FORMATS:
        best: dict[str, list[float]] = {}
        for cores in (0, 1):
            with busy(cores):
                rounds = [
                    [measured(given.folder, weights, way) for way in WAYS.values()]
                    for _ in range(TIMES)
                ]
            for way, every in zip(WAYS, zip(*rounds, strict=True), strict=True):
                best.setdefault(way, []).append(min(every))
        for way, (alone, beside) in best.items():
            print(f"| {weights}, {way} | {alone:.1f} | {beside:.1f} |", flush=True)


if __name__ == "__main__":
    main()
