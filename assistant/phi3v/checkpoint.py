"""The config.json of Phi-3-vision. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.families import folder_kind
from assistant.values.errors import ModelError

MODEL_TYPE = "phi3_v"

MOST = 1 << 31
"""Largest number of a config.json."""

MOST_LAYERS = 10_000
"""Layers at most: names are made of each, whatever a damaged config.json says."""


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json. Raises ModelError when it is not that of a Phi-3-vision model."""
    config = folder_kind.read_config(folder)
    if config.get("model_type") != MODEL_TYPE:
        raise ModelError(
            f"The model in {folder} is of type {config.get('model_type')!r}, not Phi-3-vision "
            "(phi3_v): choose another folder."
        )
    for key in ("max_position_embeddings", "vocab_size", "hidden_size", "num_hidden_layers"):
        number(config, key, folder / "config.json", MOST)
    return config


def number(values: Mapping[str, Any], key: str, path: Path, most: int) -> int:
    """Return a count of a file from 1 to ``most``. Raises ModelError."""
    found = values.get(key)
    if type(found) is not int or not 1 <= found <= most:
        words = "lacks" if found is None else "has no usable"
        raise ModelError(f"{path} {words} {key}: the checkpoint is damaged.")
    return found
