"""Exactness of int8: logits of the goldens' prompts against float32."""

from __future__ import annotations

import json
from typing import Any

import torch
from PIL import Image

from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import logits_of, prefill
from assistant.core.memory.sizes import PREFILL_CHUNK
from assistant.families.runtime import VisionLanguageModel
from assistant.phi3v.image_processing import Phi3VImageProcessor
from tests.bench.subjects import ours
from tests.conftest import GOLDENS, expand

EVERY = 8


def embedded(model: VisionLanguageModel, case: dict[str, Any]) -> torch.Tensor:
    """The embeddings [S, hidden] of a golden prompt."""
    ids = torch.tensor(expand(case["input_ids_rle"]))
    states: torch.Tensor = model.embed_tokens(ids.clamp(min=0))
    if case["images"]:
        processor = Phi3VImageProcessor(num_crops=case["num_crops"])
        seen = processor([Image.open(GOLDENS / "images" / name) for name in case["images"]])
        pictures = model.vision(seen["pixel_values"], seen["image_sizes"])
        for number, features in enumerate(pictures, 1):
            states[ids == -number] = features.to(states.dtype)
    return states


@torch.inference_mode()
def measure(prompts: int | None = None) -> dict[str, Any]:
    """Largest difference, relative rms and changed top-1 ids, at every eighth position."""
    cases = json.loads((GOLDENS / "logits.json").read_text(encoding="utf-8"))["cases"][:prompts]
    exact = ours(GOLDENS / "tiny-phi3v")
    variants = {
        "weights int8": (ours(GOLDENS / "tiny-phi3v", "int8"), "float"),
        "weights bfloat16": (ours(GOLDENS / "tiny-phi3v", "bfloat16"), "float"),
        "kv int8": (exact, "int8"),
    }
    found: dict[str, Any] = {}
    states = [embedded(exact, case) for case in cases]

    def logits(model: VisionLanguageModel, kind: str, part: torch.Tensor) -> torch.Tensor:
        cache = KVCache(model.shape.layers, model.regime_of(len(part)), kind)
        hidden = [prefill(model, chunk, cache) for chunk in part.split(PREFILL_CHUNK)]
        return logits_of(model, torch.cat(hidden)[::EVERY])

    exactly = [logits(exact, "float", part) for part in states]
    for name, (model, kind) in variants.items():
        most = squares = total = 0.0
        changed = positions = 0
        for part, wanted in zip(states, exactly, strict=True):
            got = logits(model, kind, part)
            most = max(most, float((got - wanted).abs().max()))
            squares += float((got - wanted).pow(2).sum())
            total += float((wanted - wanted.mean(-1, keepdim=True)).pow(2).sum())
            changed += int((got.argmax(-1) != wanted.argmax(-1)).sum())
            positions += len(wanted)
        found[name] = {
            "largest_difference": most,
            "relative_rms": (squares / total) ** 0.5,
            "top1_changed": changed,
            "positions": positions,
        }
    return found
