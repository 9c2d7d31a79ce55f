"""Another model family goes through prompt, window, core and worker by the interface alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from PIL import Image

from assistant.core.cache.kv_cache import KVCache
from assistant.core.generate import ResidentModel
from assistant.core.memory.devices import plan_memory
from assistant.core.memory.plan import Wanted
from assistant.core.weights import load_model
from assistant.families import registry
from assistant.families.registry import family_of, model_facts, open_checkpoint
from assistant.models.verify import verify
from assistant.values.conversation import FinishReason, Picture, Role, Turn
from assistant.values.errors import ModelError, PhichatError
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from assistant.window.layout import Layout, Request
from assistant.window.readable import spell
from assistant.worker.client import LocalCore
from tests.second_family.family import PICTURE_TOKENS
from tests.second_family.runtime import patches

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CPU = torch.device("cpu")


def picture(number: int, num_crops: int | None = None) -> Picture:
    return Picture(number, "p", "a", f"pixels {number}", "image/png", 640, 480, num_crops)


def turn(role: Role, text: str, *pictures: Picture, ids: tuple[int, ...] | None = None) -> Turn:
    return Turn("t", None, role, text, NOW, pictures, ids, model="tiny")


def layout(folder: Path, context: int = 1024) -> Layout:
    facts = model_facts(str(folder))
    return Layout(facts, lambda: context)


# Registry


def test_a_type_without_a_family_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen9_vl"}')
    with pytest.raises(ModelError, match=r"'qwen9_vl', not Phi-3-vision \(phi3_v\): choose"):
        family_of(tmp_path)
    assert family_of(folder).title == "Tiny ChatML"


def test_an_installed_package_can_not_replace_a_built_in_family(
    random_folder: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "wicked-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: wicked\nVersion: 1.0\n")
    rows = "phi3_v = tests.no_such_module:FAMILY\nbroken = tests.no_such_module:FAMILY\n"
    (metadata / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{rows}")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert family_of(random_folder).title == "Phi-3-vision"
    (tmp_path / "config.json").write_text('{"model_type": "broken"}')
    with pytest.raises(ModelError, match=r"type broken can't be used .*update it"):
        family_of(tmp_path)


def test_the_files_are_verified(folder: Path) -> None:
    found = verify(str(folder))
    assert found.ok, found


# Prompt and window


def test_the_prompt_is_chatml_with_16_positions_a_picture(folder: Path) -> None:
    it = layout(folder)
    ids = it.chat.vocabulary.encode("A dog.")
    asked = turn(Role.USER, "What <|im_end|> is it?", picture(1))
    reply = replace(turn(Role.ASSISTANT, "A dog.", ids=ids), model=str(folder))
    turns = (turn(Role.USER, "Hi"), reply, asked)
    planned = it.plan(Request(turns, "Be brief.", 100), fresh=True)
    it.check(planned)
    shown = it.preview(planned)
    assert shown.prompt.tokens == shown.context.used
    assert [slot.tokens for slot in shown.prompt.slots] == [PICTURE_TOKENS]
    assert [one.layout.part for one in shown.context.pictures] == [""]
    said = "".join(
        piece.text if piece.picture is None else "<16>"
        for piece in spell(shown.prompt, shown.context.pictures, it.chat)
    )
    assert said == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nA dog.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><16><|vision_end|>What <|im_end|> is it?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    ends = it.chat.vocabulary.id("<|im_end|>")
    controls = [i for part in shown.prompt.parts if not isinstance(part, Slot) for i in part]
    assert controls.count(ends) == 4, "text is text"


@pytest.mark.parametrize("context", [130, 200, 300])
def test_what_is_counted_is_what_the_prompt_takes(folder: Path, context: int) -> None:
    it = layout(folder, context)
    turns: list[Turn] = []
    for number in range(1, 9):
        turns.append(turn(Role.USER, f"Question {number}", picture(number, num_crops=4)))
        planned = it.plan(Request(tuple(turns), None, 20), fresh=True)
        it.check(planned)
        shown = it.preview(planned)
        assert shown.prompt.tokens == shown.context.used <= planned.budget
        turns.append(turn(Role.ASSISTANT, "An answer."))
    assert planned.plan.left_out


def test_a_refusal_speaks_of_no_crops(folder: Path) -> None:
    it = layout(folder, 130)
    asked = turn(Role.USER, "x", *(picture(n) for n in range(1, 9)))
    planned = it.plan(Request((asked,), None, 20), fresh=True)
    with pytest.raises(PhichatError, match=r"\d of the 8 would fit\.$"):
        it.check(planned)


# Core


def views_of(slot: Slot) -> torch.Tensor:
    return patches(Image.new("RGB", (50, 40), (sum(slot.pixels_sha256.encode()) % 256, 90, 10)), 1)


@torch.inference_mode()
def uncached(model: torch.nn.Module, prompt: Prompt, tokens: int) -> list[int]:
    """Greedy, every id from a forward pass over everything before it."""
    rows = [
        model.encode(views_of(part), lambda compute: compute())
        if isinstance(part, Slot)
        else model.embed_tokens(torch.tensor(part))
        for part in prompt.parts
    ]
    reply: list[int] = []
    for _ in range(tokens):
        hidden = model.hidden_states(torch.cat(rows), None)
        reply.append(int(model.lm_head(hidden[-1]).argmax()))
        rows.append(model.embed_tokens(torch.tensor([reply[-1]])))
    return reply


def conversation(folder: Path) -> Iterator[Prompt]:
    """The prompts of a growing conversation, with pictures in the first and third message."""
    it, turns = layout(folder), []
    for number in range(1, 5):
        pictures = [picture(number)] * (number % 2)
        turns.append(turn(Role.USER, f"Question {number}?", *pictures))
        planned = it.plan(Request(tuple(turns), None, 16), fresh=True)
        yield it.preview(planned).prompt
        turns.append(turn(Role.ASSISTANT, f"Answer {number}."))


@pytest.mark.parametrize("chunk", [7, 1024])
def test_warm_equals_cold_equals_uncached(folder: Path, chunk: int) -> None:
    model = load_model(folder, device=CPU, dtype=torch.float32)
    resident = ResidentModel(model, frozenset(), 1024, prefill_chunk=chunk)
    for prompt in conversation(folder):
        events = list(
            resident.generate(prompt, Sampling(max_new_tokens=12), views_of, lambda: False)
        )
        ids = list(itertools.chain(*(e.ids for e in events if isinstance(e, TokensGenerated))))
        assert ids == uncached(model, prompt, 12)
        ended = events[-1]
        assert isinstance(ended, GenerationEnded)
    assert ended.usage.cached_tokens > ended.usage.prompt_tokens // 2, "the prefix is reused"


@pytest.mark.parametrize(("kind", "weights"), [("int8", "float"), ("int4", "int8")])
def test_quantized_kv_and_weights(folder: Path, kind: str, weights: str) -> None:
    """Prefixes are reused. Exact is only float KV: the family's layers get all keys widened."""
    model = load_model(folder, device=CPU, dtype=torch.float32, weights=weights)
    resident = ResidentModel(
        model, frozenset(), 1024, new_cache=lambda regime: KVCache(2, regime, kind)
    )
    for prompt in conversation(folder):
        few = Sampling(max_new_tokens=8)
        *_, ended = resident.generate(prompt, few, views_of, lambda: False)
        assert isinstance(ended, GenerationEnded)
        assert ended.usage.completion_tokens == 8
    assert ended.usage.cached_tokens > ended.usage.prompt_tokens // 3


def test_memory_is_planned_from_the_familys_sizes(folder: Path) -> None:
    plan, _ = plan_memory(folder, CPU, Wanted())
    size = open_checkpoint(folder).size("tiny")
    assert plan.context_tokens == 1024
    assert plan.kv_bytes_per_token == 2 * 2 * 2 * 16 * 4, "2 layers, 2 key heads of 16 numbers"
    assert plan.weights_bytes == 4 * (size.decoder_flop // 2 + size.other_weights)


# Worker


@pytest.mark.slow
def test_a_worker_process_answers_about_a_picture(folder: Path) -> None:
    core = LocalCore(str(folder))
    try:
        it = Layout(core.facts(), lambda: core.facts().context)
        asked = turn(Role.USER, "What is it?", picture(1))
        prompt = it.preview(it.plan(Request((asked,), None, 16), fresh=True)).prompt
        red = Pixels(8, 8, bytes((200, 10, 10)) * 64)
        replies = [
            list(core.generate(prompt, Sampling(max_new_tokens=10), lambda _: red))
            for _ in range(2)
        ]
        first, second = (reply[-1] for reply in replies)
        assert isinstance(first, GenerationEnded)
        assert isinstance(second, GenerationEnded)
        assert first.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)
        assert first.usage.picture_tokens == PICTURE_TOKENS
        assert second.usage.cached_tokens == prompt.tokens - 1
        assert [e.ids for e in replies[0] if isinstance(e, TokensGenerated)] == [
            e.ids for e in replies[1] if isinstance(e, TokensGenerated)
        ]
    finally:
        core.close()
