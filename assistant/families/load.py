"""Weight loader: safetensors into a model in place, with a peak of the weights and one tensor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from assistant.families.model_files import open_regular
from assistant.families.runtime import Linears, Progress
from assistant.families.stored_weights import check_weights, stored_weights
from assistant.values.errors import ModelError

_LARGE = 2**18
"""Numbers of a tensor from which on its file is opened again for it: opening takes half a ms."""

_PAGE = 4096
"""Bytes of a page on most processors; where it is more, pages are touched more than once."""


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
    linears: Linears | None = None,
    progress: Progress | None = None,
) -> None:
    """Read a checkpoint into a model on the meta device.

    ``linears`` make the modules that replace each ``nn.Linear``: the decoder's are those whose
    weight ``is_matrix``. A matrix that such a module keeps as it is stays in the mapped file.
    Weights that ``is_unread`` are ignored, others refused. Peak memory is the weights in ``dtype``
    and one tensor; buffers are left as they are. Raises ModelError when a weight is missing,
    damaged or of the wrong shape.
    """
    stored = stored_weights(folder)
    wanted = dict(model.named_parameters())
    missing = sorted(set(wanted) - set(stored))
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of {len(wanted)} weights (the first: {missing[0]}): "
            "fetch the model again."
        )
    check_weights(folder, stored, wanted, is_unread)
    files = {key: stored[key].path for key in wanted}
    total = sum(p.numel() for p in wanted.values()) * dtype.itemsize
    done = 0
    for path, keys in groupby(sorted(wanted, key=lambda k: (files[k], k)), files.__getitem__):
        whole = _opened(path)
        for key in keys:
            parameter = wanted[key]
            # Opened again for every large tensor: closing unmaps the pages that were read, so that
            # a conversion never holds the mapped file and its converted copy at once.
            is_large = parameter.numel() > _LARGE
            with _opened(path) if is_large else nullcontext(whole) as file:
                source = _tensor(file, path, key, parameter.shape)
                _place(model, key, source, whole, dtype, device, is_matrix(key), linears)
                done += source.numel() * dtype.itemsize
                del source
            if progress is not None:
                progress(done, total)


def _tensor(file: Any, path: Path, key: str, shape: torch.Size) -> torch.Tensor:
    """Read a tensor in, page by page: the copies that are made of it don't wait for the disk."""
    try:
        source: torch.Tensor = file.get_tensor(key)
    except SafetensorError as error:
        raise ModelError(f"{path} is damaged ({error}): fetch it again.") from error
    if source.shape != shape:
        raise ModelError(
            f"{path}: {key} has shape {list(source.shape)}, config.json asks for "
            f"{list(shape)}: the folder mixes two models."
        )
    _read_in(source)
    return source


def _read_in(mapped: torch.Tensor) -> None:
    """Touch every page: where a file is mapped, it is read, or found in main memory."""
    mapped.view(-1).view(torch.uint8)[::_PAGE].sum()


def _place(
    model: nn.Module,
    key: str,
    source: torch.Tensor,
    whole: Any,
    dtype: torch.dtype,
    device: torch.device,
    is_matrix: bool,
    linears: Linears | None,
) -> None:
    """Set a weight, or the module that ``linears`` make of it."""
    owner_name, _, name = key.rpartition(".")
    owner = model.get_submodule(owner_name)
    made: Any = None
    if linears is not None and type(owner) is nn.Linear and name == "weight":
        within = model.get_submodule(owner_name.rpartition(".")[0])
        takes_narrow = getattr(within, "takes_narrow", False)
        make = linears.decoder if is_matrix else linears.tower if takes_narrow else None
        made = None if make is None else make(source.to(device))
    if made is None:
        weights = torch.empty(source.shape, dtype=dtype, device=device)
        weights.copy_(source)
        setattr(owner, name, nn.Parameter(weights, requires_grad=False))
        return
    if owner.bias is not None:
        made.bias = owner.bias
    if getattr(made, "weight", None) is source:
        # mapped once a file, not once a matrix: systems may count the whole file each time
        made.weight = whole.get_tensor(key)
        _read_in(made.weight)
    model.set_submodule(owner_name, made)
