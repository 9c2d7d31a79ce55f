"""Training of the demo model: vision tower first, then the whole model on dialogues.

    python -m training.demo_model.train --out RUN_DIR [--stage vision|dialogue|all]

Both stages resume from their checkpoints in RUN_DIR: run the same command again
after an interruption.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch.multiprocessing as multiprocessing

from training.demo_model import train_dialogue, train_vision
from training.demo_model.data_parallel import DataParallel
from training.demo_model.picture_pool import POOL_SIZE, Pool


def _train(rank: int, args: argparse.Namespace) -> None:
    os.setsid()  # a scheduling group of its own where the kernel groups by session
    os.nice(args.nice)
    parallel = DataParallel(rank, args.processes, args.out)
    pool = Pool(args.out / "pool", args.pool_size)
    if args.stage in ("vision", "all") and not (args.out / "tower.pt").exists():
        train_vision.run(parallel, pool, minutes=args.vision_minutes, seed=args.seed)
    if args.stage in ("dialogue", "all"):
        train_dialogue.run(
            parallel,
            pool,
            minutes=args.dialogue_minutes,
            frozen_from=args.frozen_from,
            seed=args.seed,
        )


def main() -> None:
    """Parse the command line and start the processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stage", choices=("vision", "dialogue", "all"), default="all")
    parser.add_argument("--vision-minutes", type=float, default=18)
    parser.add_argument("--dialogue-minutes", type=float, default=84)
    parser.add_argument(
        "--frozen-from",
        type=float,
        default=0.1,
        help="share of the dialogue stage after which the tower is frozen",
    )
    parser.add_argument("--pool-size", type=int, default=POOL_SIZE)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nice", type=int, default=5)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    # daemons: an interrupted trainer takes them along, though each has a session of its own
    multiprocessing.spawn(  # type: ignore[attr-defined,no-untyped-call]
        _train, (args,), nprocs=args.processes, daemon=True
    )


if __name__ == "__main__":
    main()
