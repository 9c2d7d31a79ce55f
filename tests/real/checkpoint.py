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
from safetensors.torch import save_file

from assistant.phi3v.clip import CLIP_VIT_L_14_336
from assistant.phi3v.shapes import Geometry, weight_shapes
from tests.bench.make_checkpoint import config as official_config

HIDDEN, MLP, LAYERS, HEADS = 384, 512, 3, 4  # 96 channels a head, as the official model has
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def make(folder: Path, tokenizer: Path, tower_layers: int = 4) -> Path:
    """Write the folder, once. ``tower_layers`` includes the last one, which is never read."""
    if (folder / "model.safetensors").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, folder / name)
    preprocessor = {"num_crops": 16, "num_img_tokens": 144, "processor_class": "Phi3VProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    config = official_config(HIDDEN, MLP, LAYERS, HEADS)
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
    for name, shape in weight_shapes(Geometry.from_config(config)).items():
        if len(shape) > 1:
            # a size that leaves the sums about 1: another word is likeliest at every position
            spread = 1.0 if "embed" in name and len(shape) == 2 and "proj" not in name else 0.0
            spread = spread or 1.2 / math.sqrt(math.prod(shape[1:]))
            values = torch.empty(shape).normal_(0, spread, generator=generator)
        else:
            values = torch.full(shape, float("norm" in name and name.endswith("weight")))
        yield name, values.to(torch.bfloat16)
