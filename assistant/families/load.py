"""Weight loader: safetensors into a model in place, with a peak of the weights and one tensor."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from assistant.families.checkpoint import WEIGHTS, read_index
from assistant.families.model_files import open_regular
from assistant.families.runtime import MakeLinear, Progress
from assistant.families.stored_weights import check_weights
from assistant.values.errors import ModelError


def weight_files(folder: Path) -> dict[str, Path]:
    """Map each weight to its safetensors file. Raises ModelError."""
    weight_map = read_index(folder)
    if weight_map is not None:
        files = {weight: folder / name for weight, name in weight_map.items()}
        for path in sorted(set(files.values())):
            if not os.path.exists(path):
                raise ModelError(f"{folder} lacks {path.name}: fetch the model again.")
        return files
    single = folder / WEIGHTS
    if not os.path.exists(single):
        raise ModelError(
            f"{folder} has no {WEIGHTS} (only safetensors weights are read): fetch the model again."
        )
    with _opened(single) as file:
        return dict.fromkeys(file.keys(), single)


def _opened(path: Path) -> Any:
    try:
        open_regular(path).close()
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged ({error}): fetch the model again.") from error


def load_weights(
    model: nn.Module,
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    is_matrix: Callable[[str], bool],
    is_unread: Callable[[str], bool] = lambda _: False,
    make_linear: MakeLinear | None = None,
    progress: Progress | None = None,
) -> None:
    """Read a checkpoint into a model on the meta device.

    ``make_linear`` makes the module that replaces the ``nn.Linear`` of each weight that
    ``is_matrix`` (without biases). Weights that ``is_unread`` are ignored, others refused. Peak
    memory is the weights in ``dtype`` and one tensor; buffers are left as they are. Raises
    ModelError when a weight is missing, damaged or of the wrong shape.
    """
    files = weight_files(folder)
    wanted = dict(model.named_parameters())
    missing = sorted(set(wanted) - set(files))
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of {len(wanted)} weights (the first: {missing[0]}): "
            "fetch the model again."
        )
    check_weights(folder, wanted, is_unread)
    total = sum(p.numel() for p in wanted.values()) * dtype.itemsize
    done = 0
    # File by file, each opened again for every tensor: closing unmaps the pages that were read,
    # so that a conversion never holds the mapped file and its converted copy at once.
    for key in sorted(wanted, key=lambda k: (files[k], k)):
        parameter = wanted[key]
        with _opened(files[key]) as file:
            try:
                source = file.get_tensor(key)
            except SafetensorError as error:
                raise ModelError(f"{files[key]} is damaged ({error}): fetch it again.") from error
            if source.shape != parameter.shape:
                raise ModelError(
                    f"{files[key]}: {key} has shape {list(source.shape)}, config.json asks for "
                    f"{list(parameter.shape)}: the folder mixes two models."
                )
            owner_name, _, name = key.rpartition(".")
            owner = model.get_submodule(owner_name)
            if make_linear is not None and type(owner) is nn.Linear and is_matrix(key):
                model.set_submodule(owner_name, make_linear(source.to(device)))
            else:
                weights = torch.empty(source.shape, dtype=dtype, device=device)
                weights.copy_(source)
                setattr(owner, name, nn.Parameter(weights, requires_grad=False))
            done += source.numel() * dtype.itemsize
            del source
        if progress is not None:
            progress(done, total)
