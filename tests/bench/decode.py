"""Seconds of one decoded token: ours, transformers' DynamicCache loop, and the limit of reading.

"ours_bfloat16" is what the plan chooses on a CPU: the same weights, where a checkpoint is in
bfloat16, and arithmetic in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import linear
from transformers import DynamicCache, Phi3ForCausalLM

from assistant.core.cache import KVCache
from assistant.core.decode import decode_one_token
from assistant.phi3v import Phi3VForCausalLM
from tests.bench.subjects import Scale, filled, filled_dynamic, ours, transformers_own
from tests.bench.timing import best, in_turn, typical

TOKEN = 7


def limit(model: Phi3VForCausalLM, cache: KVCache) -> Callable[[], None]:
    """Every matrix times a vector, and as many bytes as the KV holds read once: no less can do."""
    matrices = [m.weight for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    matrices.append(model.lm_head.weight)
    vectors = {w.shape[1]: torch.randn(1, w.shape[1]) for w in matrices}
    ones = torch.ones(1024)
    read = []
    for layer in cache.layers:
        for states in (layer.keys, layer.values):
            rows = states.numel() // 1024 * cache.length // max(states.shape[2:])
            read.append(states.view(-1)[: rows * 1024].view(-1, 1024))

    def run() -> None:
        for matrix in matrices:
            linear(vectors[matrix.shape[1]], matrix)
        for states in read:
            torch.mv(states, ones)

    return run


def step(model: Phi3VForCausalLM, cache: KVCache) -> Callable[[], None]:
    """Our decode of one token, always at the same length, after the layers changed their layout."""
    length = cache.length

    def run() -> None:
        decode_one_token(model, TOKEN, cache)
        cache.crop(length)

    for _ in cache.layers:
        run()
    return run


def plain_step(other: Phi3ForCausalLM, cache: DynamicCache) -> Callable[[], None]:
    """transformers' decode of one token; its cache grows by one each time."""
    token = torch.tensor([[TOKEN]])

    def run() -> None:
        other(token, past_key_values=cache, logits_to_keep=1)

    return run


@torch.inference_mode()
def measure(scale: Scale) -> dict[str, Any]:
    """Fractions and ratios of each checkpoint at each context."""
    found: dict[str, Any] = {}
    for name, folder in scale.folders.items():
        model, narrow = ours(folder), ours(folder, "bfloat16")
        other = transformers_own(model)
        for context in scale.contexts:
            cache, dynamic = filled(model, context), filled_dynamic(model, context)
            rounds = max(scale.rounds, 4 * scale.rounds * 450 // (450 + context // 10))
            measured = in_turn(
                rounds,
                limit=limit(model, cache),
                ours=step(model, cache),
                ours_bfloat16=step(narrow, cache),
                transformers=plain_step(other, dynamic),
            )
            del dynamic
            b, m = best(measured), typical(measured)
            key = f"{name} {context}"
            found[key] = {
                "ours_tokens_per_s": 1 / b["ours"],
                "fraction_of_limit": b["limit"] / b["ours"],
                "vs_transformers": b["transformers"] / b["ours"],
                "bfloat16_tokens_per_s": 1 / b["ours_bfloat16"],
                "bfloat16_vs_transformers": b["transformers"] / b["ours_bfloat16"],
                "median_fraction_of_limit": m["limit"] / m["ours"],
                "median_vs_transformers": m["transformers"] / m["ours"],
            }
            del cache
        del model, narrow, other
    return found
