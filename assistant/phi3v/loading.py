"""Reading the weights of a checkpoint: safetensors only, in place, within their own size."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from assistant.families.runtime import MakeLinear, Progress
from assistant.phi3v.checkpoint import WEIGHTS, find_folder, read_config, read_index
from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.shapes import is_vision
from assistant.values.errors import ModelError

_log = logging.getLogger(__name__)


class PretrainedLoading:
    """``from_pretrained`` for the official layout.

    transformers' own loader would fill missing weights with random numbers and
    hold a mapped file beside the converted copy; a checkpoint with a missing
    key must be an error here, and 8 GB must stay 8 GB.
    """

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: Phi3VConfig | None = None,
        dtype: torch.dtype | str | None = "auto",
        torch_dtype: torch.dtype | str | None = None,
        device: torch.device | str = "cpu",
        attn_implementation: str = "sdpa",
        local_files_only: bool = False,
        make_linear: MakeLinear | None = None,
        progress: Progress | None = None,
        **without_effect: Any,
    ) -> Self:
        """Load a folder or hub id; the model comes back in ``eval()`` mode.

        ``dtype`` "auto" is the checkpoint's own (bfloat16 for the official
        ones); ``torch_dtype`` is its older name. Peak memory is the weights in
        ``dtype`` plus one tensor. ``make_linear`` makes what stands for each
        matrix of the decoder, in a format of its own. Raises ModelError when
        something is missing, damaged or of the wrong shape. ``trust_remote_code`` and
        ``low_cpu_mem_usage``, which scripts pass out of habit, change nothing.
        """
        if unknown := sorted(set(without_effect) - {"trust_remote_code", "low_cpu_mem_usage"}):
            raise TypeError(f"from_pretrained() got an unexpected argument {unknown[0]!r}")
        folder = find_folder(pretrained_model_name_or_path, local_files_only=local_files_only)
        values = read_config(folder)
        if config is None:
            config = load_config(values, folder)
        config._attn_implementation = attn_implementation
        files = weight_files(folder)
        target = _dtype(torch_dtype or dtype, values)
        with torch.device("meta"):
            model: Any = cls(config)  # type: ignore[call-arg]
        _fill(model, files, target, torch.device(device), folder, make_linear, progress)
        model.eval()
        loaded: Self = model
        return loaded


def load_config(values: dict[str, Any], folder: Path) -> Phi3VConfig:
    """The typed configuration of config.json's ``values``. Raises ModelError."""
    try:
        return Phi3VConfig(**{k: v for k, v in values.items() if k != "model_type"})
    except Exception as error:
        # transformers validates with many exception types; for a user they are one thing
        reason = str(error).strip().replace("\n", " ")
        raise ModelError(f"{folder / 'config.json'} can't be used: {reason}") from error


def weight_files(folder: Path) -> dict[str, Path]:
    """Which safetensors file holds which weight. Raises ModelError."""
    weight_map = read_index(folder)
    if weight_map is not None:
        files = {weight: folder / name for weight, name in weight_map.items()}
        for path in sorted(set(files.values())):
            if not path.exists():
                raise ModelError(f"{folder} lacks {path.name}: fetch the model again.")
        return files
    single = folder / WEIGHTS
    if not single.exists():
        raise ModelError(
            f"{folder} has no {WEIGHTS} (only safetensors weights are read): fetch the model again."
        )
    with _opened(single) as file:
        return dict.fromkeys(file.keys(), single)


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged ({error}): fetch the model again.") from error


def _dtype(dtype: torch.dtype | str | None, config: dict[str, Any]) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    name = dtype
    if name in (None, "auto"):
        name = config.get("dtype") or config.get("torch_dtype") or "float32"
    value = getattr(torch, str(name), None)
    if not isinstance(value, torch.dtype):
        raise ModelError(f"{name!r} is not a number format: use bfloat16, float16 or float32.")
    return value


def _fill(
    model: nn.Module,
    files: dict[str, Path],
    dtype: torch.dtype,
    device: torch.device,
    folder: Path,
    make_linear: MakeLinear | None,
    progress: Progress | None,
) -> None:
    """Give every parameter of a model on the meta device its weights."""
    wanted = dict(model.named_parameters())
    missing = sorted(set(wanted) - set(files))
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of {len(wanted)} weights (the first: {missing[0]}): "
            "fetch the model again."
        )
    unread = [key for key in files if key not in wanted and not _never_read(key, model)]
    if unread:
        _log.warning("%s: %d weights are not used, %s first", folder, len(unread), unread[0])
    total = sum(p.numel() for p in wanted.values()) * dtype.itemsize
    done = 0
    # File by file, each opened anew for every tensor: closing unmaps the pages that were read,
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
            if make_linear is not None and type(owner) is nn.Linear and not is_vision(key):
                model.set_submodule(owner_name, make_linear(source.to(device)))
            else:
                weights = torch.empty(source.shape, dtype=dtype, device=device)
                weights.copy_(source)
                setattr(owner, name, nn.Parameter(weights, requires_grad=False))
            done += source.numel() * dtype.itemsize
            del source
        if progress is not None:
            progress(done, total)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:  # CLIP's position_ids, the only buffer, is a plain count
                count = torch.arange(buffer.numel(), device=device)
                setattr(module, name, count.view(buffer.shape))


def _never_read(key: str, model: nn.Module) -> bool:
    """Official weights that the model has no use for: CLIP's last layer and final norm."""
    if "vision_model.post_layernorm." in key or key.endswith(".position_ids"):
        return True
    config: Any = model.config
    return f"vision_model.encoder.layers.{config.clip_config.num_hidden_layers - 1}." in key
