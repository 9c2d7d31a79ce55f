"""vLLM with phichat-vllm beside our core: prompt ids, greedy ids, what a second turn computes.

    make test-vllm                  # makes a Python with vLLM's CPU build once, 3.5 GB
    python -m tests.real.vllm_ids --python /path/to/python/with/vllm

Two servers are started in turn, of 4,096 and 8,192 positions: vLLM chooses the factors of LongRoPE
once, by that number, our core by the length of each conversation. Exits with 1 where anything
differs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assistant.servers.address import parse
from assistant.servers.counts import chat_of
from tests.conftest import HAS_OFFICIAL_TOKENIZER, OFFICIAL_TOKENIZER
from tests.real.cases import (
    ASSISTANT,
    CASES,
    LONG,
    TOKENS,
    USER,
    Case,
    Ours,
    Said,
    ids,
    laid_out,
    messages,
)
from tests.real.checkpoint import make
from tests.real.process import asked, free_port, running
from tests.real.venvs import CACHE, python_of

NAME = "phi-3-vision"
FLAGS = (
    "--dtype=float32", "--enforce-eager", "--max-num-seqs=8", "--enable-prompt-tokens-details",
    "--trust-request-mm-kwargs",
)  # fmt: skip
HEAD = "| conversation | prompt | counted | prompt ids | greedy ids |\n|---|---|---|---|---|"
TEMPLATE = "import phichat_vllm; print(phichat_vllm.__path__[0] + '/chat_template.jinja')"


@contextmanager
def vllm(python: Path, folder: Path, length: int, log: Path, *more: str) -> Iterator[str]:
    """Run vLLM with the plugin on ``folder``, as docs/servers.md says."""
    port = free_port()
    command = [
        python, Path(__file__).parent / "launch" / "vllm_server.py", f"--model={folder}",
        "--host=127.0.0.1", f"--port={port}", f"--served-model-name={NAME}",
        f"--max-model-len={length}",
        '--limit-mm-per-prompt={"image": 16}', f"--chat-template={template(python)}", *FLAGS, *more,
    ]  # fmt: skip
    settings = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_SERVER_DEV_MODE": "1",  # its count of the tower's runs is asked by an address of this
    }
    with running(command, port, log, **settings) as address:
        yield address


def template(python: Path) -> Path:
    said = subprocess.run([python, "-c", TEMPLATE], capture_output=True, text=True, check=True)
    return Path(said.stdout.strip())


def answer(address: str, case: Case, **more: Any) -> tuple[list[int], list[int], dict[str, Any]]:
    """Return a prompt's ids, those of the reply, and the usage."""
    body = {
        "model": NAME,
        "messages": messages(case),
        "temperature": 0,
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "return_token_ids": True,
        "mm_processor_kwargs": {"num_crops": case.num_crops},
        **more,
    }
    said = asked(f"{address}/v1/chat/completions", body)
    return said["prompt_token_ids"], said["choices"][0]["token_ids"], said["usage"]


def counted(address: str, case: Case) -> int:
    """Count a prompt as our client does, by the server's /tokenize."""
    chat = chat_of(parse(f"{address}#{NAME}"), agrees=lambda: True)
    assert chat.vocabulary.learn(laid_out(chat, case)), "the server tokenizes"
    return laid_out(chat, case).tokens


def compared(ours: Ours, address: str, case: Case) -> bool:
    """Print one line of the table; whether all ids are the same."""
    prompt = ours.prompt(case)
    mine, reply = ids(prompt), ours.reply(prompt)
    theirs, their_reply, _ = answer(address, case)
    same = sum(a == b for a, b in zip(reply, their_reply, strict=False))
    prompts = "the same" if mine == theirs else f"differ ({len(theirs)})"
    count = counted(address, case)
    print(
        f"| {case.name} | {len(mine):,} | {count:,} | {prompts} | {same} of {TOKENS} |", flush=True
    )
    return mine == theirs and reply == their_reply and count == len(theirs)


def counter(address: str, name: str) -> int:
    """Read one of vLLM's own counters."""
    found = re.findall(rf"^vllm:{name}_total\{{.*?\}} ([\d.e+]+)$", asked(f"{address}/metrics"),
                       re.MULTILINE)  # fmt: skip
    return int(sum(float(one) for one in found))


def tower_runs(address: str) -> int:
    """Read (and reset) vLLM's count of requests whose pictures went through the tower."""
    said = asked(f"{address}/collective_rpc", {"method": "get_encoder_timing_stats"})
    return sum(one["num_encoder_calls"] for found in said["results"] for one in found.values())


def second_turn(address: str) -> bool:
    """Print what the prefix cache found, and that the tower did not run, in turn 2."""
    first = (Said(USER, "Describe this picture.", ("tall_336x1344.png",)),)
    rest = (Said(ASSISTANT, "A tall thing."), Said(USER, "What colour is it?"))
    print("\n| turn | prompt | found in the cache | runs of the tower |\n|---|---|---|---|")
    tower_runs(address)
    found = []
    for turn, said in enumerate((first, first + rest), 1):
        before = counter(address, "prefix_cache_hits")
        _, _, usage = answer(address, Case("", said, 4))
        hits = counter(address, "prefix_cache_hits") - before
        found.append((hits, tower_runs(address)))
        print(f"| {turn} | {usage['prompt_tokens']:,} | {hits:,} | {found[-1][1]} |", flush=True)
    (cold, looked), (warm, again) = found
    return cold == 0 and looked == 1 and warm > 0 and again == 0


def main() -> int:
    """Print both tables; 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.real.vllm_ids")
    parser.add_argument("--python", type=Path, help="a Python that has vLLM and phichat-vllm")
    parser.add_argument("--tokenizer", type=Path, help="a folder with the official tokenizer.json",
                        default=OFFICIAL_TOKENIZER if HAS_OFFICIAL_TOKENIZER else None)  # fmt: skip
    chosen = parser.parse_args()
    if chosen.tokenizer is None:
        parser.error("name a folder with the official tokenizer.json: --tokenizer")
    python = chosen.python or python_of("vllm")
    folder = make(CACHE / "phi-3-vision", chosen.tokenizer)
    ours, good = Ours(folder), True
    print(HEAD)
    with vllm(python, folder, 4096, CACHE / "vllm-4096.log") as address:
        for case in CASES:
            if not case.beyond:
                good &= compared(ours, address, case)
        with_second_turn = second_turn(address)
    print(f"\nat 8,192\n{HEAD}")
    with vllm(python, folder, 8192, CACHE / "vllm-8192.log") as address:
        for case in CASES:
            if case.beyond:
                good &= compared(ours, address, ours.filled(case, LONG))
        compared(ours, address, CASES[0])  # another answer: the long factors, for a short prompt
    return 0 if good and with_second_turn else 1


if __name__ == "__main__":
    sys.exit(main())
