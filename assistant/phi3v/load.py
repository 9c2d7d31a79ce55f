"""Loader of checkpoints in the official layout, for either class of model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from assistant.families.load import load_weights
from assistant.families.runtime import Linears, Progress
from assistant.phi3v.plain_config import PlainConfig
from assistant.phi3v.shapes import is_read, is_vision

Model = TypeVar("Model")


def load(
    make: Callable[[Any], Model],
    config: PlainConfig,
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    linears: Linears | None,
    progress: Progress | None,
) -> Model:
    """Make a model of ``config``, read the weights of ``folder`` into it. Raises ModelError."""
    with torch.device("meta"):
        model: Any = make(config)
    load_weights(
        model,
        folder,
        dtype=dtype,
        device=device,
        is_matrix=lambda name: not is_vision(name),
        is_unread=lambda name: not is_read(name, config.clip_config.num_hidden_layers),
        linears=linears,
        progress=progress,
    )
    loaded: Model = model.eval()
    return loaded
