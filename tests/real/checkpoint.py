"""A checkpoint of random weights that every engine reads: official layout, names and tokenizer.

vLLM and mistral.rs know CLIP ViT-L/14-336 by heart, so its width is the real one. It has three
layers in place of 23 where the engine can be shown so, and the decoder is small.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from assistant.phi3v.clip import CLIP_VIT_L_14_336
from assistant.phi3v.plain_config import PlainConfig
from assistant.phi3v.shapes import weight_shapes
from tests.bench.make_checkpoint import config as official_config

HIDDEN, MLP, LAYERS, HEADS = 384, 512, 3, 4  # 96 channels a head, as the official model has
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def make(folder: Path, tokenizer: Path, tower_layers: int = 4, num_crops: int = 16) -> Path:
    """Write the folder, once. ``tower_layers`` includes the last one, which is never read.

    Numbers are float32 that bfloat16 can hold, so that an engine that chooses bfloat16 or reads
    what is stored has the same weights.
    """
    if (folder / "model.safetensors").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, folder / name)
    preprocessor = {
        "num_crops": num_crops,
        "num_img_tokens": 144,
        "processor_class": "Phi3VProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    config = official_config(HIDDEN, MLP, LAYERS, HEADS) | {"torch_dtype": "float32"}
    tower = config["img_processor"]
    assert isinstance(tower, dict)
    if tower_layers != CLIP_VIT_L_14_336["num_hidden_layers"]:
        tower["clip_config"] = CLIP_VIT_L_14_336 | {"num_hidden_layers": tower_layers}
        tower["layer_idx"] = tower_layers - 2  # vLLM builds the layers up to this one
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    save_file(dict(_weights(config)), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _weights(config: dict[str, object]) -> Iterator[tuple[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for name, shape in weight_shapes(PlainConfig.from_values(config, Path())).items():
        if len(shape) > 1:
            # a size that leaves the sums about 1: another word is likeliest at every position
            spread = 1.0 if "embed" in name and len(shape) == 2 and "proj" not in name else 0.0
            spread = spread or 1.2 / math.sqrt(math.prod(shape[1:]))
            values = torch.empty(shape).normal_(0, spread, generator=generator)
        else:
            values = torch.full(shape, float("norm" in name and name.endswith("weight")))
        yield name, values.to(torch.bfloat16).float()


def text_model(folder: Path, into: Path, template: str | None = None) -> Path:
    """Write the decoder alone as the Phi-3 that it is, for engines without a tower for it.

    ``template`` replaces its chat template.
    """
    if (into / "model.safetensors").exists():
        return into
    into.mkdir(parents=True, exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    for key in ("auto_map", "embd_layer", "img_processor"):
        config.pop(key)
    config |= {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "sliding_window": None}
    config["rope_scaling"]["type"] = "longrope"
    (into / "config.json").write_text(json.dumps(config, indent=1))
    for name in TOKENIZER_FILES:
        if (folder / name).exists():
            shutil.copyfile(folder / name, into / name)
    if template is not None:
        path = into / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))
    tensors = load_file(folder / "model.safetensors")
    decoder = {name: one for name, one in tensors.items() if "vision_embed_tokens" not in name}
    save_file(decoder, into / "model.safetensors", metadata={"format": "pt"})
    return into
