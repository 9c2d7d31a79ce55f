"""The resident model: the reference's uncached ids, warm equal to cold, progress, stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image

from assistant.core.generate import ResidentModel
from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.values.conversation import FinishReason
from assistant.values.errors import ModelError
from assistant.values.events import Progressed, Stage
from assistant.values.generation import GenerationEnded, TokensGenerated
from assistant.values.model import CoreEvent
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from tests.conftest import GOLDENS
from tests.core.tiny import tiny_phi3v
from tests.tiers import few_quick

CASES = json.loads((GOLDENS / "generate.json").read_text(encoding="utf-8"))["cases"]
CONTEXT = 16384


def crops_of(slot: Slot) -> tuple[torch.Tensor, tuple[int, int]]:
    processor = Phi3VImageProcessor(num_crops=slot.detail)
    return processor.crops(Image.open(GOLDENS / "images" / slot.pixels_sha256))


def never() -> bool:
    return False


def answer(
    model: ResidentModel,
    prompt: Prompt,
    max_new_tokens: int = 48,
    stop: Callable[[], bool] = never,
    crops: Callable[[Slot], tuple[torch.Tensor, tuple[int, int]]] = crops_of,
    **sampling: Any,
) -> tuple[list[int], GenerationEnded, list[CoreEvent]]:
    chosen = Sampling(max_new_tokens=max_new_tokens, **sampling)
    events = list(model.generate(prompt, chosen, crops, stop))
    ids = [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]
    assert isinstance(events[-1], GenerationEnded)
    return ids, events[-1], events


def prompt_of(case: dict[str, Any]) -> Prompt:
    parts: list[tuple[int, ...] | Slot] = []
    run: list[int] = []
    for item in case["input_ids_rle"]:
        if isinstance(item, list):
            image = case["images"][-item[0] - 1]
            parts += [tuple(run), Slot(image, case["num_crops"], item[1])]
            run = []
        else:
            run.append(item)
    return Prompt((*parts, tuple(run)))


@pytest.fixture
def cold(tiny_model: Any) -> ResidentModel:
    return ResidentModel(tiny_model, frozenset(), CONTEXT)


@pytest.mark.parametrize("chunk", few_quick([7, 64, CONTEXT]))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_greedy_ids_are_the_uncached_references(
    case: dict[str, Any], chunk: int, tiny_model: Any
) -> None:
    cold = ResidentModel(tiny_model, frozenset(), CONTEXT, prefill_chunk=chunk)
    ids, ended, events = answer(cold, prompt_of(case))
    assert ids == case["uncached"]["new_ids"]
    assert ended.finish_reason is FinishReason.LENGTH
    assert ended.usage.prompt_tokens == case["prompt_length"]
    crossed = case["first_step_computed_with_long_factors"]
    rebuilt = any(isinstance(e, Progressed) and e.stage is Stage.REGIME for e in events)
    assert rebuilt == bool(crossed), "the rebuild at the switch is reported"


def test_a_follow_up_computes_only_what_is_new(cold: ResidentModel) -> None:
    first = Prompt(((1, 5, 6), Slot("sq336.png", 1, 313), (1, 7, 8)))
    ids, _, _ = answer(cold, first, 5)
    encoded: list[Slot] = []

    def crops(slot: Slot) -> tuple[torch.Tensor, tuple[int, int]]:
        encoded.append(slot)
        return crops_of(slot)

    second = Prompt((*first.parts[:-1], (1, 7, 8, *ids, 9, 10)))
    _, ended, _ = answer(cold, second, 2, crops=crops)
    # the last id of the reply was never fed; everything before it is still there
    assert ended.usage.cached_tokens == first.tokens + len(ids) - 1
    assert encoded == [], "a picture is encoded once"


def test_another_picture_in_the_same_place_is_not_mistaken(cold: ResidentModel) -> None:
    def prompt(image: str) -> Prompt:
        return Prompt(((1, 5), Slot(image, 1, 313), (1, 7)))

    want, _, _ = answer(cold, prompt("sq336.png"), 8)
    other, ended, _ = answer(cold, prompt("vga_640x480.png"), 8)
    assert ended.usage.cached_tokens == 2
    again, _, _ = answer(cold, prompt("sq336.png"), 8)
    assert again == want
    assert other != want


def test_a_stop_id_ends_the_reply(tiny_model: Any, cold: ResidentModel) -> None:
    prompt = prompt_of(CASES[0])
    ids, _, _ = answer(cold, prompt, 10)
    stopping = ResidentModel(tiny_model, frozenset({ids[3]}), CONTEXT)
    got, ended, _ = answer(stopping, prompt, 10)
    assert got == ids[:4]
    assert ended.finish_reason is FinishReason.STOP


def test_stop_within_one_token_and_go_on_after(cold: ResidentModel) -> None:
    prompt = prompt_of(CASES[0])
    want, _, _ = answer(cold, prompt, 12)
    seen = 0
    events = cold.generate(prompt, Sampling(max_new_tokens=12), crops_of, lambda: seen >= 3)
    got = []
    for event in events:
        if isinstance(event, TokensGenerated):
            got += event.ids
            seen += 1
    assert got == want[:3]
    assert isinstance(event, GenerationEnded)
    assert event.finish_reason is FinishReason.STOPPED
    assert answer(cold, prompt, 12)[0] == want


def test_a_stop_during_prefill_leaves_a_cache_that_can_be_trusted(tiny_model: Any) -> None:
    cold = ResidentModel(tiny_model, frozenset(), CONTEXT, prefill_chunk=64)
    prompt = prompt_of(next(case for case in CASES if case["name"] == "g_img1_nc1_short"))
    chunks = 0

    def stop() -> bool:
        nonlocal chunks
        chunks += 1
        return chunks > 4  # in the middle of the picture

    ids, ended, _ = answer(cold, prompt, 8, stop=stop)
    assert ids == []
    assert ended.finish_reason is FinishReason.STOPPED
    case = next(case for case in CASES if case["name"] == "g_img1_nc1_short")
    assert answer(cold, prompt, 8)[0] == case["uncached"]["new_ids"][:8]


def test_a_dropped_iterator_leaves_a_model_that_can_be_trusted(cold: ResidentModel) -> None:
    prompt = prompt_of(CASES[0])
    events = cold.generate(prompt, Sampling(max_new_tokens=12), crops_of, never)
    next(event for event in events if isinstance(event, TokensGenerated))
    events.close()
    assert answer(cold, prompt, 12)[0] == CASES[0]["uncached"]["new_ids"][:12]


def test_sampling_is_repeatable_and_seeded(cold: ResidentModel) -> None:
    prompt = prompt_of(CASES[0])
    hot = {"temperature": 1.5, "top_p": 0.95, "top_k": 200}
    one = answer(cold, prompt, 12, seed=1, **hot)[0]
    assert answer(cold, prompt, 12, seed=1, **hot)[0] == one
    assert answer(cold, prompt, 12, seed=2, **hot)[0] != one
    greedy = CASES[0]["uncached"]["new_ids"][:12]
    assert answer(cold, prompt, 12, temperature=1.5, top_k=1)[0] == greedy
    assert answer(cold, prompt, 12, temperature=1.5, top_p=1e-9)[0] == greedy


def test_a_penalty_counts_the_whole_prompt_and_what_is_said() -> None:
    """So high that nothing is said twice; the prompt's first ids are 72 positions back."""
    model = ResidentModel(tiny_phi3v(), frozenset(), 512)
    prompt = Prompt(((*range(3, 23), *[35] * 72),))
    ids, _, _ = answer(model, prompt, 4, repetition_penalty=1e9)
    assert len(set(ids)) == 4
    assert not set(ids) & {*range(3, 23), 35}


def test_the_context_is_never_exceeded(tiny_model: Any) -> None:
    model = ResidentModel(tiny_model, frozenset(), 30)
    ids, ended, _ = answer(model, Prompt((tuple(range(1, 26)),)), 100)
    assert len(ids) == 5
    assert ended.finish_reason is FinishReason.LENGTH
    with pytest.raises(ModelError, match="takes 30 tokens and the model holds 30"):
        answer(model, Prompt((tuple(range(1, 31)),)))


def test_features_beyond_the_budget_are_forgotten_and_made_again(tiny_model: Any) -> None:
    cold = ResidentModel(tiny_model, frozenset(), CONTEXT, feature_budget=0, kv_budget=0)
    asked: list[str] = []

    def crops(slot: Slot) -> tuple[torch.Tensor, tuple[int, int]]:
        asked.append(slot.pixels_sha256)
        return crops_of(slot)

    for image in ("sq336.png", "vga_640x480.png", "sq336.png"):
        answer(cold, Prompt(((1,), Slot(image, 1, 313), (1, 9))), 1, crops=crops)
    assert asked == ["sq336.png", "vga_640x480.png", "sq336.png"]
