"""Export of trained weights as a model folder of the official layout.

The weights go out in bfloat16 under the official names. The official checkpoint holds one
CLIP layer and a norm that are never read; they are written too, as zeros, so that the files are
laid out alike.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from assistant.phi3v.plain_config import PlainConfig
from assistant.phi3v.shapes import weight_shapes
from training.demo_model import architecture

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename parameters to the official names, add the unread layer."""
    tensors = {
        name.removeprefix("model."): value.to("cpu", torch.bfloat16)
        for name, value in weights.items()
        if name.startswith("model.")
    }
    config = architecture.config(len(tensors["lm_head.weight"]))
    for name, shape in weight_shapes(PlainConfig.from_values(config, Path())).items():
        tensors.setdefault(name, torch.zeros(shape, dtype=torch.bfloat16))
    return {name: value.contiguous() for name, value in sorted(tensors.items())}


def write(weights: dict[str, Tensor], run: Path, out: Path) -> None:
    """Write the folder beside ``out`` with the tokenizer of ``run``, then put it in its place."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = official(weights)
    save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
    (part / "model.safetensors").chmod(0o644)
    for name in TOKENIZER_FILES:
        shutil.copy(run / name, part / name)
    vocabulary = tensors["lm_head.weight"].shape[0]
    for name, values in (
        ("config.json", architecture.config(vocabulary)),
        ("preprocessor_config.json", architecture.preprocessor_config()),
    ):
        (part / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)
