"""Phi-3.5-vision-instruct is tested like Phi-3-vision: what differs in its files is made here.

Known of it: 4 crops instead of 16, other LongRoPE factors, ``sliding_window`` 262144; the same
architecture, names, tokenizer and chat template. Its own files could not be fetched here, so these
are tiny folders with its differences; the goldens have cases at 4 crops.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from assistant.families.registry import model_facts
from assistant.models.known import KNOWN
from assistant.phi3v.checkpoint import read_config
from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.pretrained import load_config
from assistant.phi3v.processing import Phi3VProcessor
from tests.conftest import GOLDENS, Phichat, expand

IMAGES = GOLDENS / "images"
PROMPTS = json.loads((GOLDENS / "prompts.json").read_text(encoding="utf-8"))["cases"]
SIZES = json.loads((GOLDENS / "image_processing.json").read_text(encoding="utf-8"))["images"]
FACTORS = {
    "type": "su",
    "long_factor": [1.08, 1.11, 1.3, 4.4, 8.2, 15.1, 25.5, 33.0],
    "short_factor": [1.08, 1.12, 1.3, 1.5, 1.8, 2.2, 2.7, 3.1],
}


@pytest.fixture
def phi35(random_folder: Path, tmp_path: Path) -> Path:
    """The tiny model with the differences of Phi-3.5-vision."""
    folder = Path(shutil.copytree(random_folder, tmp_path / "model"))
    change(folder / "config.json", sliding_window=262144, rope_scaling=FACTORS)
    change(folder / "preprocessor_config.json", num_crops=4)
    return folder


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_known_models_are_the_two_official_ones() -> None:
    assert [(one.id, one.pictures.default, one.licence) for one in KNOWN] == [
        ("microsoft/Phi-3-vision-128k-instruct", 16, "MIT"),
        ("microsoft/Phi-3.5-vision-instruct", 4, "MIT"),
    ]
    for one in KNOWN:
        assert len(one.revision) == 40
        # what is read of the weights, which are nearly all of the files
        bytes_read = 2 * (one.size.decoder_flop // 2 + one.size.other_weights)
        assert 0.99 < bytes_read / one.download_bytes < 1


def test_its_configuration_is_read_as_it_is(phi35: Path) -> None:
    config: Phi3VConfig = load_config(read_config(phi35), phi35)
    assert config.sliding_window is None
    assert {name: config.rope_parameters[name] for name in FACTORS if name != "type"} == {
        name: factors for name, factors in FACTORS.items() if name != "type"
    }
    assert model_facts(str(phi35)).pictures.default == 4


def test_its_crops_are_the_references(phi35: Path) -> None:
    processor = Phi3VImageProcessor.from_pretrained(phi35)
    checked = 0
    for one in SIZES[::3]:  # every picture and number of crops: tests/phi3v
        (want,) = (w for w in one["results"] if w["num_crops"] == 4)
        if "num_img_tokens" in want:
            pictures = processor(Image.open(IMAGES / one["image"]))
            assert pictures["num_img_tokens"] == [want["num_img_tokens"]]
            assert list(pictures["pixel_values"].shape) == want["pixel_values_shape"]
            checked += 1
    assert checked > 5


def test_its_prompts_are_the_references(phi35: Path, official_tokenizer: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(official_tokenizer / name, phi35 / name)
    processor = Phi3VProcessor.from_pretrained(phi35)
    cases = [one for one in PROMPTS if one["num_crops"] == 4]
    assert max(len(case["images"]) for case in cases) == 3
    for case in cases:
        pictures = [Image.open(IMAGES / name) for name in case["images"]]
        inputs = processor(case["text"], pictures)
        assert inputs["input_ids"][0].tolist() == expand(case["input_ids_rle"]), case["name"]


@pytest.mark.long  # it loads the model in three processes
def test_several_pictures_in_one_question(
    phi35: Path, phichat: Phichat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply of the whole program is the one that the plain model gives, a token at a time."""
    monkeypatch.setenv("PHICHAT_MODEL", str(phi35))
    monkeypatch.setenv("PHICHAT_NUM_CROPS", "none")
    monkeypatch.setenv("PHICHAT_MAX_NEW_TOKENS", "2")
    names = ["sq336.png", "tall_336x1344.png"]
    asked = ["-i", str(IMAGES / names[0]), "-i", str(IMAGES / names[1]), "Which differ?"]
    shown = json.loads(phichat("prompt", "--json", *asked).stdout)
    reply = json.loads(phichat("ask", "--json", *asked).stdout)

    processor = Phi3VProcessor.from_pretrained(phi35)
    model = Phi3VForCausalLM.from_pretrained(phi35, dtype=torch.float32)
    pictures = processor.image_processor([Image.open(IMAGES / name) for name in names])
    counts = pictures.pop("num_img_tokens")
    assert [one["tokens"] for one in shown["pictures"]] == counts
    assert reply["usage"]["picture_tokens"] == sum(counts)
    ids, written = expand(shown["ids"]), []
    for _ in range(reply["usage"]["completion_tokens"]):
        logits = model(input_ids=torch.tensor([[*ids, *written]]), **pictures).logits
        written.append(int(logits[0, -1].argmax()))
    assert processor.decode(written, skip_special_tokens=True).strip() == reply["text"].strip()
