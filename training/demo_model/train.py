"""Trains the demo model from nothing: the pool of pictures, then seeing, then talking.

    python -m training.demo_model.train --out RUN_DIR [--stage seeing|talking|all]

Every stage resumes from its checkpoint in RUN_DIR; run the same command again
after an interruption.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch.multiprocessing as multiprocessing

from training.demo_model.data_parallel import Crew
from training.demo_model.picture_pool import Pool


def _work(rank: int, args: argparse.Namespace) -> None:
    os.setsid()  # a scheduling group of its own where the kernel groups by session
    os.nice(args.nice)
    crew = Crew(rank, args.processes, args.out)
    pool = Pool(args.out / "pool", args.pool_size)
    if args.stage in ("seeing", "all") and not (args.out / "tower.pt").exists():
        from training.demo_model import train_vision as seeing

        seeing.run(crew, pool, minutes=args.seeing_minutes, seed=args.seed)
    if args.stage in ("talking", "all"):
        from training.demo_model import train_dialogue as talking

        talking.run(
            crew, pool, minutes=args.talking_minutes, frozen_from=args.frozen_from, seed=args.seed
        )


def main() -> None:
    """Parse the command line and start the processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stage", choices=("seeing", "talking", "all"), default="all")
    parser.add_argument("--seeing-minutes", type=float, default=18)
    parser.add_argument("--talking-minutes", type=float, default=84)
    parser.add_argument(
        "--frozen-from",
        type=float,
        default=0.1,
        help="share of the talking after which the tower rests",
    )
    parser.add_argument("--pool-size", type=int, default=60_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nice", type=int, default=5)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    multiprocessing.spawn(  # type: ignore[attr-defined,no-untyped-call]
        _work, (args,), nprocs=args.processes
    )


if __name__ == "__main__":
    main()
