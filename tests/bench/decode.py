"""Seconds of one decoded token: ours, transformers' DynamicCache loop, and the fastest read.

"ours_bfloat16" is what the plan chooses on a CPU: the same weights, where a checkpoint is in
bfloat16, and arithmetic in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache, Phi3ForCausalLM

from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import decode_one_token
from assistant.phi3v.modeling import Phi3VForCausalLM
from tests.bench.fastest_read import fastest, ways_to_read
from tests.bench.subjects import Scale, filled, filled_dynamic, ours, transformers_own
from tests.bench.timing import best, in_turn, typical

TOKEN = 7


def limits(model: Phi3VForCausalLM, cache: KVCache) -> dict[str, Callable[[], None]]:
    """Ways to read every matrix and as many bytes as the KV holds once: no less can do."""
    matrices = [m.weight for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    matrices.append(model.lm_head.weight)
    read = []
    for layer in cache.layers:
        for states in (layer.keys, layer.values):
            rows = states.numel() // 1024 * cache.length // max(states.shape[2:])
            read.append(states.view(-1)[: rows * 1024])
    return ways_to_read(matrices, read)


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
                **limits(model, cache),
                ours=step(model, cache),
                ours_bfloat16=step(narrow, cache),
                transformers=plain_step(other, dynamic),
            )
            del dynamic
            b, m = best(measured), typical(measured)
            way, limit = fastest(b)
            key = f"{name} {context}"
            found[key] = {
                "ours_tokens_per_s": 1 / b["ours"],
                "fraction_of_limit": limit / b["ours"],
                "fastest_read": way,
                "fraction_of_torchs_products": b["read_torch"] / b["ours"],
                "vs_transformers": b["transformers"] / b["ours"],
                "bfloat16_tokens_per_s": 1 / b["ours_bfloat16"],
                "bfloat16_vs_transformers": b["transformers"] / b["ours_bfloat16"],
                "median_fraction_of_limit": fastest(m)[1] / m["ours"],
                "median_vs_transformers": m["transformers"] / m["ours"],
            }
            del cache
        del model, narrow, other
    return found
