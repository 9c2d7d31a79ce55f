"""Training of the demo model: the vision tower first, then the whole model on dialogues.

    python -m training.demo_model.train --run RUN --stage tower|chat --minutes M

A stage goes on from its checkpoint in RUN, which is written every few minutes:
run the same command again after an interruption, or for some minutes more.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from training.demo_model import train_chat, train_tower
from training.demo_model.data_parallel import DataParallel
from training.demo_model.export import TOKENIZER_FILES
from training.demo_model.pictures.pool import Pool


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--stage", choices=("tower", "chat"), required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--cool-steps", type=int, default=0, help="end the stage: rate to zero")
    parser.add_argument(
        "--tower-share", type=float, default=0.0, help="the tower's share of the rate in chat"
    )
    parser.add_argument("--start", type=Path, help="begin chat with a model's folder")
    parser.add_argument("--lr", type=float, default=1.2e-3, help="the rate of chat")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nice", type=int, default=19)
    args = parser.parse_args()
    os.nice(args.nice)
    for name in TOKENIZER_FILES if args.start else ():
        shutil.copy(args.start / name, args.run / name)
    parallel, pool = DataParallel(0, 1, args.run), Pool(args.run / "pool")
    options = {"minutes": args.minutes, "seed": args.seed, "cool_steps": args.cool_steps}
    if args.stage == "tower":
        train_tower.run(parallel, pool, **options)
    else:
        train_chat.run(
            parallel,
            pool,
            tower_share=args.tower_share,
            top_lr=args.lr,
            start=args.start,
            **options,
        )


if __name__ == "__main__":
    main()
