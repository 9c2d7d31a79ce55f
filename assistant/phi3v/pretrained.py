"""Weights and configuration of a checkpoint in the official layout: ``from_pretrained``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from transformers import PreTrainedModel

from assistant.families.checkpoint import find_folder
from assistant.families.runtime import Linears, Progress
from assistant.phi3v.checkpoint import read_config
from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.load import load
from assistant.phi3v.plain_config import PlainConfig
from assistant.values.errors import ModelError


class Phi3VPreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """Base of the models, with ``from_pretrained`` for the official layout.

    transformers' own loader would fill missing weights with random numbers and hold a mapped file
    beside the converted copy. Here a missing weight is an error, and 8 GB take 8 GB.
    """

    config_class = Phi3VConfig
    base_model_prefix = "model"
    _no_split_modules = ["Phi3DecoderLayer", "ClipLayer"]  # noqa: RUF012
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_attention_backend = True

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
        linears: Linears | None = None,
        progress: Progress | None = None,
        **without_effect: Any,
    ) -> Self:
        """Load a folder or hub id; the model is in ``eval()`` mode.

        ``dtype`` "auto" is the checkpoint's own (bfloat16 for the official ones); ``torch_dtype``
        is its older name. Peak memory is the weights in ``dtype`` plus one tensor. ``linears``
        make the modules of matrices, in formats of their own. Raises ModelError
        when a file or weight is missing, damaged or of the wrong shape. ``trust_remote_code`` and
        ``low_cpu_mem_usage``, which many scripts pass, have no effect.
        """
        if unknown := sorted(set(without_effect) - {"trust_remote_code", "low_cpu_mem_usage"}):
            raise TypeError(f"from_pretrained() got an unexpected argument {unknown[0]!r}")
        folder = find_folder(pretrained_model_name_or_path, local_files_only=local_files_only)
        values = read_config(folder)
        if config is None:
            config = load_config(values, folder)
        config._attn_implementation = attn_implementation
        return load(
            cls,
            config,
            folder,
            dtype=_dtype(torch_dtype or dtype, values),
            device=torch.device(device),
            linears=linears,
            progress=progress,
        )


def load_config(values: dict[str, Any], folder: Path) -> Phi3VConfig:
    """Make the typed configuration of config.json's ``values``. Raises ModelError."""
    PlainConfig.from_values(values, folder)
    try:
        return Phi3VConfig(**{k: v for k, v in values.items() if k != "model_type"})
    except Exception as error:  # transformers validates with many exception types
        reason = str(error).strip().replace("\n", " ")
        raise ModelError(f"{folder / 'config.json'} can't be used: {reason}") from error


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
