"""Pool of drawn pictures on disk: one process appends to it while a trainer reads.

    python -m training.demo_model.pictures.pool --run RUN --size 60000

Entry ``i`` is a function of ``(seed, i)`` alone. The kinds of picture repeat with
the period of `KINDS_OF_PICTURE`. Filling goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from training.demo_model.pictures import charts, foreign, prints, shapes
from training.demo_model.pictures.drawing import CELLS, SIDE, Drawing, crops, labels

MOST_SHAPES = 6
"""Shapes of a picture that is asked about; one with more is a dense page."""


def _many(rng: Random) -> Drawing:
    return shapes.sample(rng, rng.randint(2, 6))


def _few(rng: Random) -> Drawing:
    return shapes.sample(rng, rng.randint(2, 4))


def _one(rng: Random) -> Drawing:
    return shapes.sample(rng, 1)


KINDS_OF_PICTURE: tuple[tuple[Callable[[Random], Drawing], int], ...] = (
    (_one, 1), (_few, 1), (shapes.page, 1), (_many, 1), (_one, 1), (_few, 1), (charts.sample, 1),
    (_few, 1), (_one, 1), (prints.sign, 1), (_few, 1), (foreign.sample, 1), (_many, 1), (_one, 1),
    (_few, 1), (shapes.page, 1), (foreign.sample, 1), (_one, 1), (_few, 1), (charts.sample, 1),
    (_many, 1), (prints.unreadable_page, 1), (_one, 1), (foreign.sample, 1), (prints.sign, 1),
    (_few, 4), (prints.page, 1),
)  # fmt: skip
"""(draws a picture, the most crops it is cut into), of each entry of a period."""


def draw_entry(seed: int, index: int) -> tuple[Drawing, int]:
    """Draw the picture of one entry; give the most crops it is cut into, too."""
    draw, num_crops = KINDS_OF_PICTURE[index % len(KINDS_OF_PICTURE)]
    return draw(Random(seed * 1_000_003 + index)), num_crops


class Pool:
    """Pictures uint8 ``[N, 168, 168, 3]`` and labels int8 ``[N, 24, 24, 3]`` of all crops.

    ``entries[i]`` holds the facts of picture ``i``, with the number ``at`` of its
    first crop, how many ``crops`` it has, and their ``grid`` (rows, columns).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: list[dict[str, Any]] = []
        self.refresh()

    def refresh(self) -> None:
        """Read what was appended since the last time."""
        lines = (self.folder / "entries.jsonl").read_bytes()
        known = len(self.entries)
        whole = lines[: lines.rfind(b"\n") + 1].splitlines()
        self.entries += [json.loads(line) for line in whole[known:]]
        last = self.entries[-1]
        count = last["at"] + last["crops"]
        self.pictures = _mapped(self.folder / "crops.bin", np.uint8, (count, SIDE, SIDE, 3))
        self.labels = _mapped(self.folder / "labels.bin", np.int8, (count, CELLS, CELLS, 3))

    def pages(self) -> npt.NDArray[np.int64]:
        """List the entries that are dense pages, of print or of shapes."""
        return np.array(
            [
                i
                for i, e in enumerate(self.entries)
                if e["family"] == "page" or len(e.get("shapes", ())) > MOST_SHAPES
            ]
        )


def _mapped(path: Path, dtype: type[Any], shape: tuple[int, ...]) -> Any:
    return np.memmap(path, dtype=dtype, shape=shape, mode="r")


def fill(folder: Path, size: int, seed: int) -> None:
    """Append entries until there are ``size``; the facts of one are written last."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / "entries.jsonl"
    at = done = 0
    if lines.exists():
        text = lines.read_bytes()
        text = text[: text.rfind(b"\n") + 1]
        whole = text.splitlines()
        done = len(whole)
        if whole:
            last = json.loads(whole[-1])
            at = last["at"] + last["crops"]
        os.truncate(lines, len(text))
    for name, bytes_each in (("crops.bin", SIDE * SIDE * 3), ("labels.bin", CELLS * CELLS * 3)):
        (folder / name).touch()
        os.truncate(folder / name, at * bytes_each)
    with (
        (folder / "crops.bin").open("ab", buffering=0) as pixels,
        (folder / "labels.bin").open("ab", buffering=0) as marks,
        lines.open("a", encoding="utf-8", buffering=1) as facts,
    ):
        for index in range(done, size):
            drawing, num_crops = draw_entry(seed, index)
            cut, grid = crops(drawing, num_crops)
            pixels.write(cut.tobytes())
            marks.write(labels(drawing, num_crops).tobytes())
            row = {"at": at, "crops": len(cut), "grid": grid, **drawing.facts}
            facts.write(json.dumps(row) + "\n")
            at += len(cut)


def main() -> None:
    """Fill a pool from where it stands."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--size", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nice", type=int, default=19)
    args = parser.parse_args()
    os.nice(args.nice)
    torch.set_num_threads(1)
    fill(args.run / "pool", args.size, args.seed)


if __name__ == "__main__":
    main()
