"""Export of a training run as a model folder of the official layout.

    python -m training.demo_model.export --run RUN_DIR [--out FOLDER]

The averaged weights go out in bfloat16 under the official names. The tower is
inflated from 168 to 336 pixels: repeating the patch weights 2 x 2 and dividing
by four gives on a full picture what the trained weights give on its 2 x 2
averages. The official checkpoint holds one CLIP layer and a norm that are never
read; they are written too (as initialised), so that the files are laid out alike.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionModel

from assistant.demo_model import folder as shipped_folder
from training.demo_model import architecture
from training.demo_model.train_tower import ACTIVE_LAYERS, tower_config

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_TOWER = "model.vision_embed_tokens.img_processor.vision_model."


def official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename parameters to the official names, inflate the patches, add the unread layers."""
    tensors = {
        name.removeprefix("model."): value
        for name, value in weights.items()
        if name.startswith("model.")
    }
    patch = tensors[_TOWER + "embeddings.patch_embedding.weight"]
    tensors[_TOWER + "embeddings.patch_embedding.weight"] = (
        patch.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    )
    torch.manual_seed(0)
    for name, value in (
        CLIPVisionModel(tower_config(side=336, layers=ACTIVE_LAYERS + 1)).state_dict().items()
    ):
        if not name.endswith("position_ids"):
            tensors.setdefault(_TOWER + name, value)
    return {name: value.to(torch.bfloat16).contiguous() for name, value in sorted(tensors.items())}


def write(run: Path, out: Path, checkpoint: str = "chat.pt") -> None:
    """Write the folder beside ``out``, then put it in the place of ``out``."""
    state = torch.load(run / checkpoint, weights_only=True)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = official(state["average"])
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
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    print(f"{out}: step {state['step']}, {sum(t.numel() for t in tensors.values()):,} parameters")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=shipped_folder())
    args = parser.parse_args()
    write(args.run, args.out)


if __name__ == "__main__":
    main()
