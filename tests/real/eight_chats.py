"""Eight chats at once on vLLM beside the same on the worker of this machine, in seconds.

    python -m tests.bench.make_checkpoint FOLDER --size mid --tokenizer OFFICIAL
    python -m tests.real.eight_chats FOLDER

Both have the weights in float32 and are asked through the engine, one after the other, three
times; the first time of each warms it up and is not counted. vLLM batches, the worker answers one
chat after the other. On a busy machine, ``taskset -c 0`` before it and the processor's seconds say
more: threads that wait for each other's cores burn them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from assistant.engine.engine import Engine
from assistant.engine.open import open_engine
from assistant.settings.load import load
from tests.engine.conftest import send
from tests.real.venvs import CACHE, python_of
from tests.real.vllm_ids import vllm
from tests.servers.test_server_core import ended

CHATS, TIMES = 8, 3
QUESTION = "Count the words of this sentence, and say which of them is the longest one, number {}."


@dataclass
class Round:
    """Seconds until eight chats were answered, of the processor too, and tokens of the replies."""

    seconds: float
    busy: float
    tokens: int


def cpu_seconds(part: str) -> float:
    """Read how long a child of this process, known by a part of its command, has computed."""
    found = [one for one in psutil.Process().children() if part in " ".join(one.cmdline())]
    every = [each for one in found for each in (one, *one.children(recursive=True))]
    return sum(sum(each.cpu_times()[:2]) for each in every)


def ask_all(engine: Engine, part: str) -> Round:
    """Ask eight questions in eight chats at once."""
    busy, started = cpu_seconds(part), time.monotonic()
    with ThreadPoolExecutor(CHATS) as pool:
        replies = list(pool.map(lambda n: send(engine, None, QUESTION.format(n)), range(CHATS)))
    seconds = time.monotonic() - started
    usages = [ended(one).usage for one in replies]
    tokens = sum(one.completion_tokens for one in usages if one is not None)
    return Round(seconds, cpu_seconds(part) - busy, tokens)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.real.eight_chats")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=64, help="of each reply")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        vllm(python_of("vllm"), given.folder, 4096, CACHE / "vllm-eight.log") as address,
    ):
        chosen = {"max_new_tokens": given.tokens, "temperature": 0.0, "dtype": "float32",
                  "shared_worker": False}  # fmt: skip
        models = {"vllm_server": f"{address}#phi-3-vision", "assistant.worker": str(given.folder)}
        engines = {
            part: open_engine(load({**chosen, "model": model},
                                   environ={"PHICHAT_HOME": f"{home}/{part}"}))
            for part, model in models.items()
        }  # fmt: skip
        found: dict[str, list[Round]] = {part: [] for part in models}
        for _ in range(TIMES + 1):
            for part, engine in engines.items():
                found[part].append(done := ask_all(engine, part))
                print(f"{part}: {done}", flush=True)
        for engine in engines.values():
            engine.close()
    print(f"load {os.getloadavg()[0]:.1f}")
    print("\n| | seconds | of the processor | tokens |\n|---|---|---|---|")
    for part, rounds in found.items():
        names = ("seconds", "busy", "tokens")
        medians = [statistics.median(getattr(one, name) for one in rounds[1:]) for name in names]
        print(f"| {part} | " + " | ".join(f"{one:.1f}" for one in medians) + " |")


if __name__ == "__main__":
    main()
