"""The config.json of Phi-3-vision. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assistant.families import folder_kind
from assistant.values.errors import ModelError

MODEL_TYPE = "phi3_v"


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json. Raises ModelError when it is not that of a Phi-3-vision model."""
    config = folder_kind.read_config(folder)
    if config.get("model_type") != MODEL_TYPE:
        raise ModelError(
            f"The model in {folder} is of type {config.get('model_type')!r}, not Phi-3-vision "
            "(phi3_v): choose another folder."
        )
    for key in ("max_position_embeddings", "vocab_size", "hidden_size", "num_hidden_layers"):
        if not isinstance(config.get(key), int):
            raise ModelError(f"{folder / 'config.json'} lacks {key}: the checkpoint is damaged.")
    return config
