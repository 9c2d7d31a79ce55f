"""Logits, features and rotary tables are the reference's, within its measured noise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from tests.conftest import GOLDENS, expand
from tests.tiers import few_quick

CASES = json.loads((GOLDENS / "logits.json").read_text(encoding="utf-8"))["cases"]
QUIRKS = [case for case in CASES if case["name"].startswith("quirk_")]
REGULAR = [case for case in CASES if not case["name"].startswith("quirk_")]

# Suggested by the goldens: three to seven times the reference's own noise, and below the effect
# of the smallest wrong implementation that was tried.
LOGITS, CLIP, EMBEDS = 1e-4, 4e-5, 2e-5


@pytest.fixture(scope="module")
def tensors() -> Iterator[Any]:
    with safe_open(GOLDENS / "logits.safetensors", "pt") as opened:
        yield opened


def inputs_of(case: dict[str, Any]) -> dict[str, torch.Tensor]:
    inputs = {"input_ids": torch.tensor([expand(case["input_ids_rle"])])}
    if case["images"]:
        processor = Phi3VImageProcessor(num_crops=case["num_crops"])
        pictures = processor([Image.open(GOLDENS / "images" / name) for name in case["images"]])
        inputs |= {key: pictures[key] for key in ("pixel_values", "image_sizes")}
        assert inputs["image_sizes"].tolist() == case["image_sizes_hw"]
    return inputs


@pytest.mark.parametrize("case", few_quick(REGULAR, 8), ids=lambda case: case["name"])
@torch.inference_mode()
def test_logits(case: dict[str, Any], tiny_model: Any, tensors: Any) -> None:
    name = case["name"]
    inputs = inputs_of(case)
    ids_before = inputs["input_ids"].clone()
    out = tiny_model(**inputs, output_hidden_states=True)
    logits = out.logits[0]

    def near(got: torch.Tensor, key: str, tolerance: float) -> None:
        want = tensors.get_tensor(f"{name}.{key}")
        assert float((got - want).abs().max()) <= tolerance, key

    top = tensors.get_tensor(f"{name}.last4_top64_ids").long()
    near(logits[-4:].gather(1, top), "last4_top64_values", LOGITS)
    near(logits.logsumexp(-1), "logsumexp_all", LOGITS)
    assert torch.equal(logits.argmax(-1), tensors.get_tensor(f"{name}.argmax_all").long())
    if f"{name}.last_full" in tensors.keys():  # noqa: SIM118 (not a dict)
        near(logits[-1], "last_full", LOGITS)
    layers = torch.stack([state[0, -1] for state in out.hidden_states])
    near(layers, "hidden_per_layer_last", LOGITS)
    assert torch.equal(inputs["input_ids"], ids_before), "the caller's ids were changed"

    if case["images"]:
        vision = tiny_model.model.vision_embed_tokens
        embeds = vision(inputs["pixel_values"], inputs["image_sizes"])
        if f"{name}.image_embeds" in tensors.keys():  # noqa: SIM118
            near(torch.cat(embeds), "image_embeds", EMBEDS)
        height, width = inputs["image_sizes"][0].tolist()
        real = 1 + height * width // 336**2
        if f"{name}.clip_hidden_minus2_patches" in tensors.keys():  # noqa: SIM118
            patches = vision.img_processor(inputs["pixel_values"][0, :real])
            want = tensors.get_tensor(f"{name}.clip_hidden_minus2_patches")
            assert float((patches - want[:real]).abs().max()) <= CLIP


@pytest.mark.parametrize("case", few_quick(QUIRKS), ids=lambda case: case["name"])
@torch.inference_mode()
def test_the_number_of_a_picture_is_honoured(case: dict[str, Any], tiny_model: Any) -> None:
    """The reference fills slots by order of appearance whatever their number says; ours
    gives what the reference gives for the pictures in that order."""
    inputs = inputs_of(case)
    swapped = {key: value.clone() for key, value in inputs.items()}
    ids = inputs["input_ids"]
    swapped["input_ids"] = torch.where(ids == -1, -2, torch.where(ids == -2, -1, ids))
    swapped["pixel_values"] = inputs["pixel_values"].flip(0)
    swapped["image_sizes"] = inputs["image_sizes"].flip(0)
    got, want = tiny_model(**inputs).logits, tiny_model(**swapped).logits
    assert float((got - want).abs().max()) <= LOGITS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text_short", "img1_nc1", "text_len700"])
@torch.inference_mode()
def test_eager_attention_agrees(name: str, tiny_model: Any) -> None:
    eager = Phi3VForCausalLM.from_pretrained(
        GOLDENS / "tiny-phi3v", torch_dtype="float32", attn_implementation="eager"
    )
    inputs = inputs_of(next(case for case in CASES if case["name"] == name))
    assert float((eager(**inputs).logits - tiny_model(**inputs).logits).abs().max()) <= LOGITS


@pytest.mark.parametrize("regime", list(Regime))
def test_rotary_tables(regime: Regime, tiny_model: Any, tensors: Any) -> None:
    key = f"rope.tiny-phi3v.{regime}"
    positions = tensors.get_tensor(f"{key}.positions").long()
    cos, sin = tiny_model.model.rope(positions[None], regime, torch.float32)
    assert float((cos[0] - tensors.get_tensor(f"{key}.cos")).abs().max()) <= 1e-6
    assert float((sin[0] - tensors.get_tensor(f"{key}.sin")).abs().max()) <= 1e-6


@torch.inference_mode()
def test_right_padding_changes_nothing(tiny_model: Any) -> None:
    ids = torch.tensor([[1, 32010, 29871, 13, 5618, 32007]])
    padded = torch.cat((ids, torch.full((1, 3), 32000)), dim=1)
    mask = torch.ones_like(padded)
    mask[0, 6:] = 0
    want = tiny_model(ids).logits
    got = tiny_model(padded, attention_mask=mask).logits[:, :6]
    assert float((got - want).abs().max()) <= LOGITS


@torch.inference_mode()
def test_left_padding_with_positions_changes_nothing(tiny_model: Any) -> None:
    ids = torch.tensor([[1, 32010, 29871, 13, 5618, 32007]])
    padded = torch.cat((torch.full((1, 3), 32000), ids), dim=1)
    mask = torch.ones_like(padded)
    mask[0, :3] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    want = tiny_model(ids).logits
    got = tiny_model(padded, attention_mask=mask, position_ids=positions).logits[:, 3:]
    assert float((got - want).abs().max()) <= LOGITS


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pixel_values": None}, ValueError, "pass pixel_values"),
        ({"image_sizes": torch.tensor([[1344, 1344]])}, ValueError, "needs 17 crops"),
        ({"input_ids": torch.tensor([[1, -2, -2]])}, ValueError, "slot for picture 2"),
        ({"input_ids": torch.tensor([[1, -1, -1]])}, ValueError, "takes 313 positions"),
        ({"input_ids": torch.tensor([[1, 40000]])}, IndexError, "outside the vocabulary"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    change: dict[str, Any], error: type[Exception], words: str, tiny_model: Any
) -> None:
    case = next(case for case in REGULAR if case["name"] == "img1_nc1")
    with pytest.raises(error, match=words):
        tiny_model(**{**inputs_of(case), **change})
