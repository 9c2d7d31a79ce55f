"""Finding a checkpoint folder and reading its small files. Never imports torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.families import hub_cache
from assistant.values.errors import ModelError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
NEEDED = ("config.json", "preprocessor_config.json", "tokenizer.json")
"""The small files without which a model from the hub is not whole."""

WANTED = (*NEEDED, "tokenizer_config.json", INDEX, "LICENSE", "*.safetensors")
"""All that is ever fetched of a repository: no code, no pickles, nothing that is not read."""

# OpenAI's CLIP ViT-L/14 at 336 px, which the official config names but does not spell out.
# Source: the config.json of openai/clip-vit-large-patch14-336.
CLIP_VIT_L_14_336: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "projection_dim": 768,
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder in the official layout, its small files read."""

    folder: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any]

    @property
    def num_crops(self) -> int:
        """The most crops that the model's own preprocessor cuts a picture into."""
        return int(self.preprocessor.get("num_crops", 16))

    @property
    def num_img_tokens(self) -> int:
        """Positions of one crop (144 for the real model)."""
        return int(self.preprocessor.get("num_img_tokens", 144))

    @property
    def context(self) -> int:
        """The longest sequence the model was made for, in positions."""
        return int(self.config["max_position_embeddings"])


def find_folder(name_or_path: str | Path, *, local_files_only: bool = False) -> Path:
    """The folder of a checkpoint: a local path, or a Hugging Face id.

    An id that is whole in the Hugging Face cache is taken from there, and nobody is
    asked; ``local_files_only`` never touches the network. Raises ModelError.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    name = str(name_or_path)
    if path.exists():
        raise ModelError(f"{name} is a file; a model is a folder with config.json and weights.")
    if not hub_cache.is_hub_id(name):
        raise ModelError(
            f"There is no model {name!r}: give “demo”, a folder, or a Hugging Face id such as "
            "microsoft/Phi-3-vision-128k-instruct."
        )
    commit = hub_cache.fetched_commit(name)
    lacks = "not on this machine"
    if commit is not None:
        folder = hub_cache.snapshot(name, commit)
        missing = missing_files(folder)
        if not missing:
            return folder
        lacks = f"not whole on this machine ({missing[0]} is missing)"
    if local_files_only:
        raise ModelError(
            f"The model {name} is {lacks}: fetch it with “phichat models pull {name}”, or use "
            "--model demo or a folder."
        )
    return _fetched(name)


def missing_files(folder: Path) -> list[str]:
    """Names of the files that a folder lacks to be a whole model, in the order of their use."""
    wanted = [*NEEDED, *weight_file_names(folder)]
    return [name for name in wanted if not (folder / name).is_file()]


def weight_file_names(folder: Path) -> list[str]:
    """Names of the safetensors files, from the index where there is one. Raises ModelError."""
    weight_map = read_index(folder)
    return [WEIGHTS] if weight_map is None else sorted(set(weight_map.values()))


def read_index(folder: Path) -> dict[str, str] | None:
    """Which safetensors file holds which weight; None where there is one file and so no index.

    Raises ModelError.
    """
    index = folder / INDEX
    if not index.exists():
        return None
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise ModelError(f"{index} has no weight_map: fetch the model again.")
    files = {str(weight): str(name) for weight, name in weight_map.items()}
    if outside := [name for name in files.values() if Path(name).name != name]:
        raise ModelError(f"{index} names {outside[0]!r}, which is no file of its folder.")
    return files


def _fetched(name: str) -> Path:
    """What the Python door does with an id that is not here, as every library of its kind."""
    # imported here: it takes a third of a second, and what is here already needs none of it
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED)))
    except LocalEntryNotFoundError:
        raise ModelError(
            f"The model {name} is not on this machine and the Hugging Face hub can't be reached; "
            "check the network, or use --model demo or a folder."
        ) from None
    except (HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"The model {name} could not be fetched: {reason}") from None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read config.json and preprocessor_config.json. Raises ModelError when they are unfit."""
    return Checkpoint(folder, read_config(folder), read_json(folder / "preprocessor_config.json"))


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json. Raises ModelError when it is not that of a Phi-3-vision model."""
    config = read_json(folder / "config.json")
    if config.get("model_type") != "phi3_v":
        raise ModelError(
            f"The model in {folder} is of type {config.get('model_type')!r}, not Phi-3-vision "
            "(phi3_v): choose another folder."
        )
    for key in ("max_position_embeddings", "vocab_size", "hidden_size", "num_hidden_layers"):
        if not isinstance(config.get(key), int):
            raise ModelError(f"{folder / 'config.json'} lacks {key}: the checkpoint is damaged.")
    return config


def read_json(path: Path) -> dict[str, Any]:
    """One small JSON object of a checkpoint. Raises ModelError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path.parent} has no {path.name}: it is not a complete model folder."
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} can't be read ({error}): fetch the model again.") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object: fetch the model again.")
    return value
