"""Pool of drawn pictures on disk, filled by worker processes and read by the trainers.

Entry ``i`` is a function of ``(seed, i)`` alone, so the pool can be made again
anywhere. The kinds of scene repeat with period 20: ten of one shape, five of
two, one without shapes, four dense pages for the tower's own training.

    python -m training.demo_model.picture_pool --out RUN_DIR --size 60000 --workers 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from training.demo_model.drawing import downsample, draw, patch_labels
from training.demo_model.scenes import (
    COLOURS,
    GROUNDS,
    KINDS,
    Scene,
    sample,
    sample_page,
)

POOL_SIZE = 60_000
"""Pictures, unless a command says another number: what the trainers read must be there."""
PERIOD = 20
"""Entries after which the kinds of scene repeat."""
ONE, TWO, NONE, PAGE = range(10), range(10, 15), range(15, 16), range(16, 20)
SIDE, GRID = 168, 8


def scene_of(seed: int, index: int) -> Scene:
    """Sample the scene of one entry."""
    rng = Random(seed * 1_000_003 + index)
    slot = index % PERIOD
    if slot in PAGE:
        return sample_page(rng)
    return sample(rng, 1 if slot in ONE else 2 if slot in TWO else 0, small=slot % 2 == 0)


class Pool:
    """Memory-mapped pictures, labels and facts.

    Pictures are uint8 ``[N, 168, 168, 3]``, patch labels int8 ``[N, 8, 8, 2]``,
    facts int8 ``[N, 6]``. A row of facts is (filled, ground, colour 1, kind 1,
    colour 2, kind 2) with -1 for no shape.
    """

    def __init__(self, folder: Path, size: int, *, write: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.size = size
        self.pictures: npt.NDArray[np.uint8] = _mapped(
            folder / "pictures.bin", np.uint8, (size, SIDE, SIDE, 3), write
        )
        self.labels: npt.NDArray[np.int8] = _mapped(
            folder / "labels.bin", np.int8, (size, GRID, GRID, 2), write
        )
        self.facts: npt.NDArray[np.int8] = _mapped(folder / "facts.bin", np.int8, (size, 6), write)

    def filled(self, slots: range) -> npt.NDArray[np.int64]:
        """List the filled entries whose place in the period is in ``slots``."""
        ready = np.flatnonzero(self.facts[:, 0])
        return ready[np.isin(ready % PERIOD, slots)]

    def put(self, index: int, scene: Scene) -> None:
        """Draw one entry; its facts are written last, because they mark it as filled."""
        self.pictures[index] = downsample(draw(scene))
        self.labels[index] = patch_labels(scene)
        row = [1, GROUNDS.index(scene.ground), -1, -1, -1, -1]
        for number, (colour, kind) in enumerate(scene.facts[:2]):
            row[2 + 2 * number : 4 + 2 * number] = COLOURS.index(colour), KINDS.index(kind)
        self.facts[index] = row


def _mapped(path: Path, dtype: type[Any], shape: tuple[int, ...], write: bool) -> Any:
    if not write:
        return np.memmap(path, dtype=dtype, shape=shape, mode="r")
    return np.memmap(path, dtype=dtype, shape=shape, mode="r+" if path.exists() else "w+")


def _feed(folder: Path, size: int, seed: int, worker: int, workers: int, niceness: int) -> None:
    os.nice(niceness)
    pool = Pool(folder, size, write=True)
    for index in range(worker, size, workers):
        if not pool.facts[index, 0]:
            pool.put(index, scene_of(seed, index))


def main() -> None:
    """Fill a pool, in order, from where it stands."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=POOL_SIZE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nice", type=int, default=5)
    args = parser.parse_args()
    folder = args.out / "pool"
    Pool(folder, args.size, write=True)
    feeders = [
        multiprocessing.Process(
            target=_feed, args=(folder, args.size, args.seed, i, args.workers, args.nice)
        )
        for i in range(args.workers)
    ]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join()


if __name__ == "__main__":
    main()
