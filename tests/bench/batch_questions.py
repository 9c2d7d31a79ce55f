"""Seconds of two questions of ``phichat batch`` over the same pictures of four crops each.

    python -m tests.bench.make_checkpoint FOLDER --size mid --tokenizer OFFICIAL
    python -m tests.bench.batch_questions FOLDER

The worker is kept between the runs, so that both have the model loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image


def pictures(folder: Path, count: int) -> None:
    """Write pictures of 672 x 672: four crops and the whole."""
    for number in range(count):
        gradient = Image.linear_gradient("L").resize((672, 672))
        Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(7 * number))).save(
            folder / f"{number}.png"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=int, default=6)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shown, home = Path(folder) / "pictures", Path(folder) / "home"
        shown.mkdir()
        pictures(shown, given.pictures + 1)
        environment = os.environ | {
            "PHICHAT_HOME": str(home),
            "PHICHAT_MODEL": str(given.model),
            "PHICHAT_NUM_CROPS": "4",
        }

        def seconds(question: str, *files: Path) -> float:
            command = [sys.executable, "-m", "assistant.cli", "batch", question, *map(str, files)]
            started = time.monotonic()
            subprocess.run(
                [*command, "--max-new-tokens", "4", "--temperature", "0"],
                env=environment, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            return time.monotonic() - started

        first, *others = sorted(shown.iterdir())
        seconds("Hello?", first)  # loads the model and compiles
        first_s = seconds("What is this?", *others)
        second_s = seconds("Is it dark?", *others)
        found = {
            "first_s": first_s,
            "second_s": second_s,
            "batch_second_question": first_s / second_s,
        }
        print(json.dumps(found | {"pictures": len(others), "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
