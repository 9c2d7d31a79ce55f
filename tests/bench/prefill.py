"""Seconds of reading a prompt: every weight format against transformers, and an older checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import logits_of, prefill
from assistant.core.memory.sizes import PREFILL_CHUNK
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import regime_of
from tests.bench.subjects import FORMATS, Scale, embeddings, ours, transformers_own
from tests.bench.timing import best, in_turn, typical


def read(model: Phi3VForCausalLM, states: torch.Tensor) -> torch.Tensor:
    """A whole prompt in chunks, as the product does it; the last logits."""
    cache = KVCache(model.config.num_hidden_layers, regime_of(len(states), model.config))
    cache.reserve(len(states))
    for chunk in states.split(PREFILL_CHUNK):
        hidden = prefill(model, chunk, cache)
    return logits_of(model, hidden[-1:])


@torch.inference_mode()
def measure(scale: Scale) -> dict[str, Any]:
    """transformers' seconds over ours, of each checkpoint and format."""
    found: dict[str, Any] = {}
    for name, folder in scale.folders.items():
        models = {form: ours(folder, form) for form in FORMATS}
        other = transformers_own(models["float32"])
        states = embeddings(models["float32"], scale.prefill)
        sides: dict[str, Any] = {form: partial(read, m, states) for form, m in models.items()}
        sides["transformers"] = partial(other, inputs_embeds=states[None], logits_to_keep=1)
        measured = in_turn(scale.rounds, **sides)
        b, m = best(measured), typical(measured)
        for form in FORMATS:
            found[f"{name} {form}"] = {
                "vs_transformers": b["transformers"] / b[form],
                "median_vs_transformers": m["transformers"] / m[form],
                "vs_float32": b["float32"] / b[form],
                "median_vs_float32": m["float32"] / m[form],
                "tokens_per_s": scale.prefill / b[form],
            }
        del models, other, sides
    return found


FEW = 32
"""Tokens of a prompt that is compared with an older checkout, which may take minutes for more."""


def against_before(scale: Scale, before: Path | None) -> dict[str, Any] | None:
    """Seconds of the checkout ``before`` over ours, of an int8 prompt: in turn, a process each."""
    if before is None:
        return None
    here = Path(__file__).parents[2]
    found: dict[str, list[float]] = {"before": [], "now": []}
    for _ in range(2):
        for name, checkout in (("now", here), ("before", before)):
            command = [sys.executable, str(Path(__file__).parent / "one_prompt.py")]
            done = subprocess.run(
                [*command, str(scale.folders["mid"]), "int8", str(min(FEW, scale.prefill))],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ | {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"},
            )
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        "vs_before": min(found["before"]) / min(found["now"]),
        "tokens": min(FEW, scale.prefill),
        "seconds": found,
    }
