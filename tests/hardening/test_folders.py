"""Model folders of other kinds: each is called what it is, by everything that looks at it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.places import cpu_place
from assistant.engine.open import open_engine
from assistant.families import vocabulary
from assistant.families.registry import model_facts, model_folder
from assistant.models.catalogue import find_models
from assistant.models.verify import verify
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.settings.load import load as load_settings
from assistant.values.errors import ModelError

KINDS: dict[str, tuple[dict[str, object] | None, list[str], str]] = {
    "AWQ": ({"quantization_config": {"quant_method": "awq", "bits": 4}}, [], "AWQ has quantized"),
    "GPTQ": ({"quantization_config": {"quant_method": "gptq"}}, [], "GPTQ has quantized"),
    "bnb": ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, [],
            "bitsandbytes has quantized"),
    "FP8": ({"quantization_config": {"quant_method": "fp8"}}, [], "FP8 has quantized"),
    "INT8": ({"quantization_config": {"quant_method": "compressed-tensors"}}, [], "compressed-"),
    "unknown": ({"quantization_config": {"bits": 3}}, [], "another program has quantized"),
    "MLX": ({"quantization": {"group_size": 64, "bits": 4}}, [], "MLX has quantized"),
    "adapter": (None, ["-model.safetensors", "-config.json", "adapter_config.json",
                       "adapter_model.safetensors"], "an adapter (LoRA) without its model"),
    "GGUF": (None, ["-model.safetensors", "-config.json", "phi3.Q4_K_M.gguf"], "GGUF weights"),
    "pickle": (None, ["-model.safetensors", "pytorch_model-00001-of-00002.bin"], "pickled"),
    "pth": (None, ["-model.safetensors", "consolidated.00.pth"], "pickled weights (.pth)"),
    "ONNX": (None, ["-model.safetensors", "model.onnx"], "ONNX weights"),
}  # fmt: skip


@pytest.fixture
def copied(random_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(random_folder, tmp_path / "model"))


def refusals(folder: Path) -> list[str]:
    """Sentences of everything that looks at a folder."""
    with pytest.raises(ModelError) as facts:
        model_facts(str(folder))
    with pytest.raises(ModelError) as loaded:
        Phi3VForCausalLM.from_pretrained(folder)
    engine = open_engine(load_settings({"model": str(folder)}))
    with pytest.raises(ModelError) as used:
        engine.model.facts()
    engine.close()
    found = verify(str(folder))
    assert not found.ok
    return [str(facts.value), str(loaded.value), str(used.value), str(found.problem)]


@pytest.mark.parametrize("name", KINDS)
def test_a_folder_is_called_what_it_is(copied: Path, name: str) -> None:
    more, files, words = KINDS[name]
    config = copied / "config.json"
    if more is not None:
        config.write_text(json.dumps({**json.loads(config.read_text()), **more}))
    for file in files:
        if file.startswith("-"):
            (copied / file[1:]).unlink()
        else:
            (copied / file).write_bytes(b"")
    for said in refusals(copied):
        assert words in said, said
        assert "etch the model again" not in said


def test_scales_that_nothing_reads_are_refused(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    name = next(name for name in weights if name.endswith("o_proj.weight"))
    weights[name] = weights[name].to(torch.float8_e4m3fn)
    weights[f"{name}_scale_inv"] = torch.ones(1)
    save_file(weights, copied / "model.safetensors")
    with pytest.raises(ModelError, match=r"1 weight that phichat does not know .*_scale_inv"):
        Phi3VForCausalLM.from_pretrained(copied)
    assert "does not know" in str(verify(str(copied)).problem)
    del weights[f"{name}_scale_inv"]
    save_file(weights, copied / "model.safetensors")
    with pytest.raises(ModelError, match="stored as F8_E4M3, a format that phichat does not read"):
        Phi3VForCausalLM.from_pretrained(copied)
    assert "F8_E4M3" in str(verify(str(copied)).problem)


def test_numbers_that_follow_from_the_configuration_are_no_sign(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(weights, copied / "model.safetensors")
    assert verify(str(copied)).ok
    Phi3VForCausalLM.from_pretrained(copied)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _deep(path: Path) -> None:
    path.write_text("[" * 200_000 + "]" * 200_000)


def _use(folder: Path) -> None:
    model_facts(str(folder)).chat.vocabulary.id("<|end|>")
    Phi3VForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json",
                                  "model.safetensors", "model.safetensors.index.json"])  # fmt: skip
@pytest.mark.parametrize("make", [_pipe, _device, _circle, _deep, Path.mkdir])
def test_what_stands_in_the_place_of_a_file_is_one_sentence(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(model_folder("demo"), tmp_path / "model"))
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    if (make, name) == (_circle, "model.safetensors.index.json"):
        assert verify(str(folder)).ok  # as if it were not there
        return
    assert not verify(str(folder)).ok
    with pytest.raises(ModelError) as refused:
        _use(folder)
    assert str(folder) in str(refused.value)
    assert len(str(refused.value)) < 600
    place = cpu_place(detect_hardware())
    used = find_models(load_settings({"model": str(folder)}), place, [str(folder)])
    # a tokenizer.json takes too long to be read for a list
    is_unread = (make, name) == (_deep, "tokenizer.json")
    assert [one.whole for one in used if one.name == str(folder)] == [is_unread]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("config.json", "num_hidden_layers"),
        ("config.json", "num_attention_heads"),
        ("config.json", "vocab_size"),
        ("preprocessor_config.json", "num_crops"),
        ("preprocessor_config.json", "num_img_tokens"),
    ],
)
@pytest.mark.parametrize("number", [0, -1, 1 << 40, 10**400, float("inf"), "many"])
def test_a_number_that_no_model_has_is_one_sentence(
    tmp_path: Path, name: str, key: str, number: object
) -> None:
    """Of 2**40 layers names would be made until memory is full, and as many crops arranged."""
    folder = Path(shutil.copytree(model_folder("demo"), tmp_path / "model"))
    values = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(values | {key: number}))
    assert "damaged" in str(verify(str(folder)).problem)
    if name == "config.json":
        with pytest.raises(ModelError, match="damaged"):
            Phi3VForCausalLM.from_pretrained(folder)
    used = find_models(load_settings({"model": str(folder)}), cpu_place(detect_hardware()))
    assert "damaged" in str(next(one for one in used if one.name == str(folder)).problem)


def test_a_vision_tower_that_is_no_object_is_one_sentence(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder("demo"), tmp_path / "model"))
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"img_processor": "clip"}))
    assert "damaged" in str(verify(str(folder)).problem)


@pytest.mark.parametrize("key", ["post_processor", "added_tokens"])
def test_a_tokenizer_that_only_decoding_reads_is_one_sentence(tmp_path: Path, key: str) -> None:
    folder = Path(shutil.copytree(model_folder("demo"), tmp_path / "model"))
    values = json.loads((folder / "tokenizer.json").read_text())
    changed = {"post_processor": {"type": "\x1b[31mnone"}, "added_tokens": values["added_tokens"]}
    changed["added_tokens"][0]["lstrip"] = "\x1b[31m"
    (folder / "tokenizer.json").write_text(json.dumps(values | {key: changed[key]}))
    with pytest.raises(ModelError, match="fetch the model again") as refused:
        model_facts(str(folder)).chat.vocabulary.text((5, 6))
    assert "\x1b" not in str(refused.value)
    assert "\x1b" not in str(verify(str(folder)).problem)


def with_prefix(tmp_path: Path, prefix: str) -> Path:
    """Copy the demo model, with a prefix of its merges that its library can't cut off."""
    folder = Path(shutil.copytree(model_folder("demo"), tmp_path / "model"))
    values = json.loads((folder / "tokenizer.json").read_text())
    values["model"]["continuing_subword_prefix"] = prefix
    (folder / "tokenizer.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("prefix", ["0" * 64, "²", "##"])
def test_a_tokenizer_at_which_its_library_panics_is_one_sentence(
    tmp_path: Path, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = with_prefix(tmp_path, prefix)
    with pytest.raises(ModelError, match="fetch the model again"):
        model_facts(str(folder)).chat.vocabulary.encode("Hi")
    assert "lack their prefix" in str(verify(str(folder)).problem)
    assert capfd.readouterr().err == "", "nothing is written over the screen"


def test_what_its_library_panics_at_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "_PREFIX", re.compile("(?!)"))
    text = (with_prefix(tmp_path, "0" * 64) / "tokenizer.json").read_text()
    with pytest.raises(ValueError, match="range"):
        vocabulary.read_tokenizer(text)


@pytest.mark.parametrize("name", ["x" * 5000, "y/" * 3000, "~no-such-user/model", "a\nb", "/"])
def test_a_name_that_is_no_path_is_one_sentence(name: str) -> None:
    with pytest.raises(ModelError) as refused:
        model_facts(name)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600
    assert any(
        one.problem
        for one in find_models(load_settings({"model": name}), cpu_place(detect_hardware()))
    )
