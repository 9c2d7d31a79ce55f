"""The processor gives the reference's ids, errors and texts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.processing import Phi3VProcessor, load_tokenizer
from tests.conftest import GOLDENS, expand
from tests.tiers import few_quick
from tests.trained_tokenizer import NAMES

PROMPTS = json.loads((GOLDENS / "prompts.json").read_text(encoding="utf-8"))
ERRORS = {
    "AssertionError": AssertionError,
    "IndexError": IndexError,
    "TypeError": TypeError,
    "ValueError": ValueError,
}


CASES = pytest.mark.parametrize(
    "case",
    few_quick((one for one in PROMPTS["cases"] if "error" not in one), 25),
    ids=lambda case: case["name"],
)
OFFICIAL_NAMES = {
    0: "<unk>",
    1: "<s>",
    2: "</s>",
    **{32000 + number: name for number, name in enumerate(NAMES)},
}


@pytest.fixture(scope="module")
def tokenizer(any_tokenizer: Path) -> Any:
    return load_tokenizer(any_tokenizer)


def processed(case: dict[str, Any], tokenizer: Any) -> Any:
    """Run the processor on a case."""
    processor = Phi3VProcessor(Phi3VImageProcessor(num_crops=case["num_crops"] or 16), tokenizer)
    names = case["images"]
    images = None if names is None else [Image.open(GOLDENS / "images" / n) for n in names]
    return processor(case["text"], images)


@CASES
def test_ids_are_the_references(case: dict[str, Any], official_tokenizer: Path) -> None:
    inputs = processed(case, load_tokenizer(official_tokenizer))
    assert inputs["input_ids"][0].tolist() == expand(case["input_ids_rle"])


def frame(ids: list[int], names: dict[int, str]) -> list[int | str]:
    """Control tokens by name and pictures by number; text between them is one ``text``."""
    items = [one if one < 0 else names.get(one, "text") for one in ids]
    return [item for at, item in enumerate(items) if item != "text" or items[at - 1 : at] != [item]]


@CASES
def test_controls_and_pictures_stand_where_the_reference_puts_them(
    case: dict[str, Any], tokenizer: Any
) -> None:
    inputs = processed(case, tokenizer)
    ids = inputs["input_ids"][0].tolist()
    names = {tokenizer.convert_tokens_to_ids(name): name for name in OFFICIAL_NAMES.values()}
    assert frame(ids, names) == frame(expand(case["input_ids_rle"]), OFFICIAL_NAMES)
    assert sorted(inputs) == case["output_keys"]
    assert bool(inputs["attention_mask"].all())
    # The text itself is what the tokenizer makes of each piece between two pictures.
    pieces = re.split(r"<\|image_\d+\|>", case["text"]) if case["images"] else [case["text"]]
    text = [one for one in ids if one >= 0]
    assert text == [one for piece in pieces for one in tokenizer(piece).input_ids]


@pytest.mark.parametrize(
    "case", [one for one in PROMPTS["cases"] if "error" in one], ids=lambda case: case["name"]
)
def test_errors_are_the_references(case: dict[str, Any], tokenizer: Any) -> None:
    with pytest.raises(ERRORS[case["error"]["type"]]) as raised:
        processed(case, tokenizer)
    assert case["error"]["message"] in str(raised.value)


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
def test_decoding_is_the_references(case: dict[str, Any], official_tokenizer: Path) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(), load_tokenizer(official_tokenizer))
    decoded = processor.decode(case["ids"], skip_special_tokens=case["skip_special"])
    assert decoded == case["text"]


@pytest.mark.parametrize(
    ("skip", "text"),
    [
        (True, "The quick brown \n It"),
        (False, "<s> The quick brown<|end|> \n<|assistant|> It"),
    ],
)
def test_control_tokens_are_decoded_only_when_asked_for(
    skip: bool, text: str, tokenizer: Any
) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(), tokenizer)
    ids = tokenizer("The quick brown<|end|>\n<|assistant|>\nIt").input_ids
    assert processor.decode(ids, skip_special_tokens=skip) == text


def test_a_list_of_texts_with_a_picture_is_refused(tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(num_crops=1), tokenizer)
    with pytest.raises(TypeError, match="expected string"):
        processor(["a", "b"], Image.new("RGB", (20, 20)))


def test_text_batches_pad_on_the_right(tokenizer: Any) -> None:
    processor = Phi3VProcessor(Phi3VImageProcessor(), tokenizer)
    texts = ["<|user|>\na<|end|>\n<|assistant|>\n", "<|user|>\na longer one<|end|>\n"]
    inputs = processor(texts, padding=True)
    short = len(tokenizer(texts[0]).input_ids)
    padding = inputs["input_ids"][0, short:].tolist()
    assert padding
    assert set(padding) == {tokenizer.convert_tokens_to_ids("<|endoftext|>")}
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


def test_the_trained_tokenizer_is_of_the_official_kind(
    trained_tokenizer: Path, official_tokenizer: Path
) -> None:
    """Otherwise what the others promise with it would say nothing about Phi-3-vision."""
    ours, official = (
        json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        for folder in (trained_tokenizer, official_tokenizer)
    )
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        assert ours[part] == official[part]
    for part in ("type", "unk_token", "fuse_unk", "byte_fallback", "dropout", "ignore_merges"):
        assert ours["model"][part] == official["model"][part]
    for ours_one, official_one in zip(ours["added_tokens"], official["added_tokens"], strict=True):
        assert ours_one | {"id": 0} == official_one | {"id": 0}
