"""Time to the first token of a turn: a follow-up question, and a picture, against the seed's way.

The seed's way is generate() on pictures and history again at every turn: 17 crops of every
picture through the tower, all positions through the decoder (transformers' own, float32, the
quickest it has here). The tower is timed once on one picture and counted for each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch

from assistant.core.cache.float_layer import FloatLayer
from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import logits_of, prefill
from assistant.core.generate import ResidentModel
from assistant.phi3v.crops import CROP, crop_grid
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.values.generation import GenerationEnded
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from tests.bench.subjects import Scale, embeddings, filled, ours, transformers_own
from tests.bench.timing import best, in_turn, seconds

QUESTION = 20
Crops = tuple[torch.Tensor, tuple[int, int]]


def crops_of(slot: Slot) -> Crops:
    """Made-up pixels; the slot's name says its size, "336" or "1344"."""
    side = int(slot.pixels_sha256.partition("-")[0])
    grid = crop_grid(side, side, slot.detail)
    return torch.randn(grid.crops, 3, CROP, CROP), (grid.height, grid.width)


def picture(side: int, num_crops: int, number: int, num_img_tokens: int) -> Slot:
    """A square picture."""
    tokens = crop_grid(side, side, num_crops).tokens(num_img_tokens)
    return Slot(f"{side}-{number}", num_crops, tokens)


def ids(count: int, seed: int) -> tuple[int, ...]:
    """Random tokens."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(5, 30000, (count,), generator=generator).tolist())


def first_token(resident: ResidentModel, prompt: Prompt) -> float:
    """Seconds to the first token, as the product reports it."""
    events = list(resident.generate(prompt, Sampling(max_new_tokens=1), crops_of, lambda: False))
    ended = events[-1]
    assert isinstance(ended, GenerationEnded)
    return ended.ttft_s


def tower(model: Phi3VForCausalLM, crops: int) -> float:
    """Seconds of the reference's 17 crops of one picture."""
    vision = model.model.vision_embed_tokens
    pixels = torch.randn(crops, 3, CROP, CROP)
    return seconds(lambda: [vision.encode_crops(part) for part in pixels.split(4)])


@contextmanager
def attention_timed() -> Iterator[list[float]]:
    """Seconds that attention takes within, added up in the one number of the list."""
    spent = [0.0]
    plain = FloatLayer.attend

    def timed(layer: FloatLayer, *states: torch.Tensor) -> torch.Tensor:
        started = time.perf_counter()
        out = plain(layer, *states)
        spent[0] += time.perf_counter() - started
        return out

    with patch.object(FloatLayer, "attend", timed):
        yield spent


@torch.inference_mode()
def measure(scale: Scale) -> dict[str, Any]:
    """The follow-up and picture figures of "mid"."""
    model = ours(scale.folders["mid"])
    config = model.config
    other = transformers_own(model)
    resident = ResidentModel(model, frozenset(), 131072, kv_budget=2**32)
    per_crop = (CROP // config.clip_config.patch_size // 2) ** 2
    pictures = [picture(336, 1, n, per_crop) for n in range(3)]
    text = ids(scale.history, 0)
    third = len(text) // 3
    history: list[Any] = [(1,)]
    for n, slot in enumerate(pictures):
        history += [slot, text[n * third : (n + 1) * third]]
    first_token(resident, Prompt(tuple(history)))
    length = Prompt(tuple(history)).tokens

    seed_tower = tower(model, scale.tower_crops)
    states = embeddings(model, length + QUESTION)
    seed_read = min(
        seconds(lambda: other(inputs_embeds=states[None], logits_to_keep=1)) for _ in range(2)
    )

    bare = filled(model, length)
    questions = iter(range(1, 10_000))

    def follow_up(history: list[Any] = history) -> float:
        return first_token(resident, Prompt((*history, ids(QUESTION, next(questions)))))

    def forward(cache: KVCache = bare) -> None:
        length = cache.length
        logits_of(model, prefill(model, states[:QUESTION], cache)[-1:])
        cache.crop(length)

    rounds = 3 * scale.rounds
    b = best(in_turn(rounds, follow_up=follow_up, bare=forward))
    del bare
    found: dict[str, Any] = {
        "history_tokens": length,
        "followup_ttft_s": b["follow_up"],
        "seed_tower_s_per_picture": seed_tower,
        "seed_read_s": seed_read,
        "followup_ttft_vs_seed_way": (len(pictures) * seed_tower + seed_read) / b["follow_up"],
        "followup_ttft_vs_bare_forward": b["follow_up"] / b["bare"],
    }

    rest: dict[int, float] = {}
    for size in scale.histories:
        longer: list[Any] = [ids(size, size)]
        first_token(resident, Prompt(tuple(longer)))
        taken: list[tuple[float, float]] = []
        for _ in range(rounds):
            with attention_timed() as spent:
                whole = follow_up(longer)
            taken.append((whole - spent[0], whole))
        rest[size], found[f"followup_ttft_s_{size}"] = min(taken)
        found[f"followup_without_attention_s_{size}"] = rest[size]
    short, long = scale.histories
    found["followup_ttft_16k_vs_1k"] = rest[long] / rest[short]

    for side, num_crops in ((336, 1), (1344, 4)):
        slot = picture(side, num_crops, 99, per_crop)
        prompt = Prompt(((1,), slot, ids(QUESTION, side)))
        ours_s = first_token(resident, prompt)
        reference = crop_grid(side, side, 16).tokens(per_crop) + QUESTION
        states = embeddings(model, reference)
        seed = seed_tower + seconds(
            lambda states=states: other(inputs_embeds=states[None], logits_to_keep=1)
        )
        found[f"picture_{side}_at_{num_crops}_crops_ttft_s"] = ours_s
        found[f"picture_{side}_ttft_vs_seed_way"] = seed / ours_s
    return found
