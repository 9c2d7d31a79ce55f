"""Other engines on the same folders, each in a Python of its own; ours before and after them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.bench.decode import step
from tests.bench.prefill import read
from tests.bench.subjects import Scale, embeddings, filled, ours
from tests.bench.timing import seconds

PEERS = Path(__file__).parent / "peers"
WORDS, TOKENS = 400, 16


def run_peer(python: str | None, script: str, *arguments: str) -> dict[str, Any] | None:
    """The JSON that a peer prints last; None where it is not installed or fails, with a word."""
    if python is None:
        return None
    command = [python, str(PEERS / script), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        said = f"{type(error).__name__}"
        print(f"{script} {' '.join(arguments)} gave no figures ({said})", file=sys.stderr)
        return None
    return found


def side_by_side(
    folder: Path, form: str, rounds: int, context: int, peer: Callable[[], dict[str, Any] | None]
) -> dict[str, Any] | None:
    """Ours, the peer, ours again: the best of each. A peer's prompt has its own length."""
    figures: list[tuple[float, float]] = []

    @torch.inference_mode()
    def measure(length: int) -> None:
        model = ours(folder, form)
        run = step(model, filled(model, length))
        run()
        decode = min(seconds(run) for _ in range(2 * rounds))
        states = embeddings(model, length)
        read(model, states)
        figures.append((decode, min(seconds(lambda: read(model, states)) for _ in range(2))))

    measure(context)
    theirs = peer()
    if theirs is None:
        return None
    measure(theirs.get("prompt_tokens", context))
    decode, prompt = (min(times) for times in zip(*figures, strict=True))
    return {
        "theirs": theirs,
        "ours_decode_tokens_per_s": 1 / decode,
        "ours_prompt_s": prompt,
        "decode": 1 / decode / theirs["decode_tokens_per_s"],
        "prefill": theirs["prompt_s"] / prompt,
    }


def mistralrs(scale: Scale, python: str | None) -> dict[str, Any]:
    """float32 of both checkpoints, Q8_0 against our int8 on "wide"."""
    found: dict[str, Any] = {}
    for name, form, theirs in (
        ("mid", "float32", "-"),
        ("wide", "float32", "-"),
        ("wide", "int8", "Q8_0"),
    ):
        folder = scale.folders[name]

        def peer(folder: Path = folder, theirs: str = theirs) -> dict[str, Any] | None:
            arguments = str(folder), theirs, str(WORDS), str(TOKENS)
            return run_peer(python, "mistralrs_peer.py", *arguments)

        found[f"{name} {form}"] = (
            side_by_side(folder, form, scale.rounds, scale.contexts[0], peer) if python else None
        )
    return found


def vllm(scale: Scale, python: str | None) -> dict[str, Any] | None:
    """float32 of "mid"."""
    folder, context = scale.folders["mid"], scale.contexts[0]
    if python is None:
        return None
    return side_by_side(
        folder,
        "float32",
        scale.rounds,
        context,
        lambda: run_peer(python, "vllm_peer.py", str(folder), str(context), "32"),
    )
