"""All checks on a CUDA device in eight minutes: ``python -m tests.gpu`` prints one JSON document.

The tests of this folder, the goldens' prompts in bfloat16 against float32 on the CPU, and our
prompt and token against transformers' on the same weights. It has never run on a device.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path

from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import Decoder, logits_of, prefill
from assistant.core.weights import load_model
from assistant.phi3v.rope import regime_of
from tests.bench.exactness import embedded
from tests.bench.make_checkpoint import SIZES, make_checkpoint
from tests.bench.subjects import ours, transformers_own
from tests.bench.timing import best, in_turn, machine
from tests.conftest import GOLDENS, ROOT

CUDA = torch.device("cuda")
TESTS_S = 240
"""Seconds of the tests of this folder at most: half of the time."""

PROMPTS, TOKENS, ROUNDS = 3, 1024, 5


def tests() -> dict[str, Any]:
    """Run the tests of this folder in a process."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/gpu", "-x", "--no-header"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=TESTS_S)
    except subprocess.TimeoutExpired:
        return {"passed": False, "end": f"more than {TESTS_S} seconds"}
    return {"passed": done.returncode == 0, "end": done.stdout.strip().splitlines()[-5:]}


@torch.inference_mode()
def goldens() -> dict[str, float]:
    """Return the largest relative rms of logits, which bfloat16's own noise keeps below 0.06."""
    cases = json.loads((GOLDENS / "logits.json").read_text(encoding="utf-8"))["cases"][:PROMPTS]
    folder = GOLDENS / "tiny-phi3v"
    exact = ours(folder)
    there = load_model(folder, device=CUDA, dtype=torch.bfloat16)
    worst = 0.0
    for case in cases:
        states = embedded(exact, case)
        both = [
            logits_of(model, prefill(model, part, KVCache(exact.config.num_hidden_layers, regime)))
            for regime in [regime_of(len(states), exact.config)]
            for model, part in ((exact, states), (there, states.to(there.embed_tokens.weight)))
        ]
        off = (both[1].cpu() - both[0]).pow(2).mean().sqrt() / both[0].std()
        worst = max(worst, float(off))
    return {"relative_rms": worst, "limit": 0.06}


@torch.inference_mode()
def ratios(cache: Path) -> dict[str, float]:
    """Return transformers' seconds over ours, of a prompt and of a token after it."""
    folder = cache / "wide"
    if not (folder / "model.safetensors.index.json").exists():
        make_checkpoint(folder, *SIZES["wide"], tokenizer=None)
    model = load_model(folder, device=CUDA, dtype=torch.bfloat16)
    other, decoder = transformers_own(model).to(CUDA), Decoder.for_device(model)
    states = model.embed_tokens(torch.arange(5, 5 + TOKENS, device=CUDA))
    regime = regime_of(TOKENS + 64, model.config)

    def finished(run: Callable[[], object]) -> Callable[[], None]:
        def wait() -> None:
            run()
            torch.cuda.synchronize()

        return wait

    kept = KVCache(model.shape.layers, regime)
    decoder(states, kept)
    theirs = other(inputs_embeds=states[None], use_cache=True).past_key_values

    def token() -> None:
        logits_of(model, decoder(states[:1], kept))
        kept.crop(TOKENS)

    measured = best(
        in_turn(
            ROUNDS,
            prompt=finished(lambda: decoder(states, KVCache(model.shape.layers, regime))),
            their_prompt=finished(lambda: other(inputs_embeds=states[None], logits_to_keep=1)),
            token=finished(token),
            their_token=finished(
                lambda: other(inputs_embeds=states[None, :1], past_key_values=theirs)
            ),
        )
    )
    return {
        "prefill_vs_transformers": measured["their_prompt"] / measured["prompt"],
        "decode_vs_transformers": measured["their_token"] / measured["token"],
        **{f"{name}_s": seconds for name, seconds in measured.items()},
    }


def main() -> None:
    """Run every check; one that fails is a sentence in the report."""
    report: dict[str, Any] = {"machine": machine(), "cuda": torch.cuda.is_available()}
    if report["cuda"]:
        report["device"] = torch.cuda.get_device_name(CUDA)
        checks: dict[str, Callable[[], Any]] = {
            "goldens": goldens,
            "ratios": lambda: ratios(user_cache_path("phichat-bench")),
            "tests": tests,
        }
        for name, check in checks.items():
            try:
                report[name] = check()
            except Exception as error:  # the others are worth their time all the same
                report[name] = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
