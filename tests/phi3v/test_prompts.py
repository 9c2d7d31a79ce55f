"""The processor gives the reference's ids, errors and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from assistant.phi3v import Phi3VImageProcessor, Phi3VProcessor
from assistant.phi3v.processing import load_tokenizer
from tests.conftest import GOLDENS, expand

PROMPTS = json.loads((GOLDENS / "prompts.json").read_text(encoding="utf-8"))
ERRORS = {
    "AssertionError": AssertionError,
    "IndexError": IndexError,
    "TypeError": TypeError,
    "ValueError": ValueError,
}


@pytest.fixture(scope="module")
def tokenizer(official_tokenizer: Path) -> Any:
    return load_tokenizer(official_tokenizer)


@pytest.mark.parametrize("case", PROMPTS["cases"], ids=lambda case: case["name"])
def test_ids_are_the_references(case: dict[str, Any], tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(num_crops=case["num_crops"] or 16), tokenizer)
    names = case["images"]
    images = None if names is None else [Image.open(GOLDENS / "images" / n) for n in names]
    if "error" in case:
        message = case["error"]["message"]
        with pytest.raises(ERRORS[case["error"]["type"]]) as raised:
            processor(case["text"], images)
        assert message in str(raised.value)
        return
    inputs = processor(case["text"], images)
    assert inputs["input_ids"][0].tolist() == expand(case["input_ids_rle"])
    assert sorted(inputs) == case["output_keys"]
    assert bool(inputs["attention_mask"].all())


@pytest.mark.parametrize("case", PROMPTS["chat_template"])
def test_chat_template_renders_as_the_reference(case: dict[str, Any], tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(), tokenizer)
    arguments = {"add_generation_prompt": case["add_generation_prompt"]}
    if "error" in case:
        with pytest.raises(IndexError):
            processor.apply_chat_template(case["messages"], **arguments)
        return
    assert processor.apply_chat_template(case["messages"], **arguments) == case["rendered"]


@pytest.mark.parametrize("case", PROMPTS["decode"])
def test_decoding_is_the_references(case: dict[str, Any], tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(), tokenizer)
    decoded = processor.decode(case["ids"], skip_special_tokens=case["skip_special"])
    assert decoded == case["text"]


def test_a_list_of_texts_with_a_picture_is_refused(tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(num_crops=1), tokenizer)
    with pytest.raises(TypeError, match="expected string"):
        processor(["a", "b"], Image.new("RGB", (20, 20)))


def test_text_batches_pad_on_the_right(tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(), tokenizer)
    texts = ["<|user|>\na<|end|>\n<|assistant|>\n", "<|user|>\na longer one<|end|>\n"]
    inputs = processor(texts, padding=True)
    short = len(tokenizer(texts[0]).input_ids)
    assert inputs["input_ids"][0, short:].tolist() == [32000] * (
        inputs["input_ids"].shape[1] - short
    )
    assert int(inputs["attention_mask"][0].sum()) == short


def test_pictures_ignore_truncation(tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(num_crops=1), tokenizer)
    text, picture = "<|user|>\n<|image_1|>\nx<|end|>\n", Image.new("RGB", (20, 20))
    cut = processor(text, picture, truncation=True, max_length=10)
    assert cut["input_ids"].tolist() == processor(text, picture)["input_ids"].tolist()


@pytest.mark.parametrize("kind", ["np", None])
def test_other_tensor_kinds(kind: str | None, tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(num_crops=1), tokenizer)
    text, picture = "<|image_1|>", Image.new("RGB", (20, 20))
    wanted = processor(text, picture)
    got = processor(text, picture, return_tensors=kind)
    assert list(got["input_ids"][0]) == wanted["input_ids"][0].tolist()
    assert len(got["pixel_values"][0]) == 2
