"""Official folders load as they are; damaged ones are refused in one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.families.checkpoint import find_folder
from assistant.families.registry import open_checkpoint
from assistant.families.stored_weights import stored_weights
from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.pictures import Phi3VPictures
from assistant.phi3v.pretrained import load_config
from assistant.phi3v.processing import Phi3VProcessor
from assistant.values.errors import ModelError
from tests.bench.make_checkpoint import SIZES, weights
from tests.conftest import GOLDENS


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(folder: Path | str) -> str:
    with pytest.raises(ModelError) as raised:
        Phi3VForCausalLM.from_pretrained(folder, local_files_only=True)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_the_checkpoints_own_dtype_is_kept(tiny_folder: Path) -> None:
    model = Phi3VForCausalLM.from_pretrained(tiny_folder)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not model.training


def test_shards_give_the_same_weights(tiny_folder: Path) -> None:
    whole = Phi3VForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).state_dict()
    tensors = load_file(tiny_folder / "model.safetensors")
    names = sorted(tensors)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, tiny_folder / file)
        index.update(dict.fromkeys(part, file))
    (tiny_folder / "model.safetensors").unlink()
    (tiny_folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    sharded = Phi3VForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).state_dict()
    assert whole.keys() == sharded.keys()
    assert all(torch.equal(whole[name], sharded[name]) for name in whole)

    (tiny_folder / "model-00002-of-00002.safetensors").unlink()
    assert "lacks model-00002-of-00002.safetensors" in refused(tiny_folder)
    index[names[0]] = "../elsewhere.safetensors"
    (tiny_folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert "'../elsewhere.safetensors', which is no file of its folder" in refused(tiny_folder)


def test_every_weight_of_the_model_has_an_official_name() -> None:
    """Ours plus what is never read (CLIP's last layer and final norm) is the whole checkpoint."""
    with torch.device("meta"):
        model = Phi3VForCausalLM(
            load_config(json.loads((GOLDENS / "tiny-phi3v" / "config.json").read_text()), GOLDENS)
        )
    ours = set(model.state_dict())
    stored = set(stored_weights(GOLDENS / "tiny-phi3v"))
    assert ours < stored
    assert all("layers.2." in n or "post_layernorm" in n for n in stored - ours)


def test_the_official_layout_has_the_names_of_our_benchmarks(official_tokenizer: Path) -> None:
    index = json.loads((official_tokenizer / "model.safetensors.index.json").read_text())
    names = {name for name, _ in weights(*SIZES["full"][:3])}
    assert names == set(index["weight_map"])


def test_the_official_config_is_read_as_it_is(official_tokenizer: Path) -> None:
    values = json.loads((official_tokenizer / "config.json").read_text())
    config = load_config(values, official_tokenizer)
    assert config.rope_parameters["rope_type"] == "longrope"
    assert config.rope_parameters["long_factor"] == values["rope_scaling"]["long_factor"]
    assert config.sliding_window is None
    assert config.clip_config.num_hidden_layers == 24
    checkpoint = open_checkpoint(official_tokenizer)
    assert checkpoint.pictures == Phi3VPictures(16, None, 144)
    assert checkpoint.context == 131072


def test_processor_from_the_official_folder(official_tokenizer: Path, tmp_path: Path) -> None:
    processor = Phi3VProcessor.from_pretrained(official_tokenizer, num_crops=4)
    assert processor.image_processor.num_crops == 4
    # of the preprocessor, the number of crops is what Phi-3.5-vision-instruct has otherwise (its
    # LongRoPE factors are its own, too)
    folder = Path(shutil.copytree(official_tokenizer, tmp_path / "phi-3.5"))
    path = folder / "preprocessor_config.json"
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_crops": 4}))
    assert Phi3VProcessor.from_pretrained(folder).image_processor.num_crops == 4


def test_a_missing_weight_is_an_error(tiny_folder: Path) -> None:
    tensors = load_file(tiny_folder / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, tiny_folder / "model.safetensors")
    message = refused(tiny_folder)
    assert "model.layers.1.mlp.down_proj.weight" in message
    assert "lacks 1 of" in message


def test_a_weight_of_the_wrong_shape_is_an_error(tiny_folder: Path) -> None:
    tensors = load_file(tiny_folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(65)
    save_file(tensors, tiny_folder / "model.safetensors")
    assert "model.norm.weight has shape [65]" in refused(tiny_folder)


def test_a_truncated_file_is_an_error(tiny_folder: Path) -> None:
    path = tiny_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])
    assert "is cut short" in refused(tiny_folder)


def test_pickles_are_never_read(tiny_folder: Path) -> None:
    (tiny_folder / "model.safetensors").rename(tiny_folder / "pytorch_model.bin")
    assert "pickled weights (.bin)" in refused(tiny_folder)


def test_other_refusals(tiny_folder: Path, tmp_path: Path) -> None:
    assert "no config.json" in refused(tmp_path)
    assert "no/such-model is not on this machine" in refused("no/such-model")
    assert "no model 'what is this'" in refused("what is this")
    assert "is a file" in refused(tiny_folder / "config.json")
    change_config(tiny_folder, rope_scaling={"type": "su", "short_factor": [1.0]})
    assert "config.json can't be used" in refused(tiny_folder)
    change_config(tiny_folder, model_type="llama")
    assert "not Phi-3-vision" in refused(tiny_folder)
    (tiny_folder / "config.json").write_text("{")
    assert "can't be read" in refused(tiny_folder)


def test_remote_code_is_never_run(tiny_folder: Path) -> None:
    """``auto_map`` names modules of the checkpoint: one that would run is put there."""
    ran = tiny_folder / "ran"
    (tiny_folder / "configuration_phi3_v.py").write_text(f"open({str(ran)!r}, 'w')")
    (tiny_folder / "modeling_phi3_v.py").write_text(f"open({str(ran)!r}, 'w')")
    Phi3VForCausalLM.from_pretrained(tiny_folder, trust_remote_code=True)
    assert not ran.exists()
    with pytest.raises(TypeError, match="device_mop"):
        Phi3VForCausalLM.from_pretrained(tiny_folder, device_mop="auto")


def test_a_folder_is_found_without_the_hub(tiny_folder: Path) -> None:
    assert find_folder(tiny_folder, local_files_only=True) == tiny_folder


def test_saving_writes_the_official_names(tiny_folder: Path, tmp_path: Path) -> None:
    model = Phi3VForCausalLM.from_pretrained(tiny_folder)
    model.save_pretrained(tmp_path / "saved")
    assert set(stored_weights(tmp_path / "saved")) == set(model.state_dict())
    again = Phi3VForCausalLM.from_pretrained(tmp_path / "saved")
    for (name, one), other in zip(
        model.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_config_survives_saving(tmp_path: Path) -> None:
    values = json.loads((GOLDENS / "tiny-phi3v" / "config.json").read_text())
    config = load_config(values, GOLDENS)
    config.save_pretrained(tmp_path)
    again = Phi3VConfig(**json.loads((tmp_path / "config.json").read_text()))
    assert again.rope_parameters == config.rope_parameters
    assert again.img_processor == config.img_processor
