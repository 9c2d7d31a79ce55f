"""Kinds of model folders that are not read: each is called what it is, with what to do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.families.checkpoint import read_json
from assistant.values.errors import ModelError

_METHODS = {
    "awq": "AWQ", "gptq": "GPTQ", "bitsandbytes": "bitsandbytes", "fp8": "FP8",
    "fbgemm_fp8": "FP8", "compressed-tensors": "compressed-tensors", "hqq": "HQQ",
    "aqlm": "AQLM", "torchao": "torchao", "quanto": "Quanto", "eetq": "EETQ",
    "modelopt": "ModelOpt",
}  # fmt: skip
"""Values of ``quant_method`` in a config.json, and the names that people know."""

_ENDINGS = {
    ".gguf": "GGUF weights, for llama.cpp: serve them there and give its address as the model",
    ".onnx": "ONNX weights",
    ".bin": "pickled weights (.bin), which can run code and are never read",
    ".pth": "pickled weights (.pth), which can run code and are never read",
    ".pt": "pickled weights (.pt), which can run code and are never read",
    ".npz": "MLX weights (.npz)",
    ".h5": "TensorFlow weights (.h5)",
    ".msgpack": "Flax weights (.msgpack)",
}
_INSTEAD = "get the checkpoint with safetensors weights"


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json. Raises ModelError, also for a folder of a kind that is not read."""
    path = folder / "config.json"
    if not os.path.exists(path):
        _check(folder, {})
    config = read_json(path)
    _check(folder, config)
    return config


def _check(folder: Path, config: Mapping[str, Any]) -> None:
    try:
        names = {path.name for path in folder.iterdir()} if os.path.isdir(folder) else set()
    except OSError as error:
        raise ModelError(f"{folder} can't be read ({error.strerror}): check the folder.") from None
    has_weights = any(name.endswith(".safetensors") and "adapter" not in name for name in names)
    method = _quantization(config)
    if method is not None:
        raise _other_kind(
            folder,
            f"weights that {method} has quantized",
            "get the checkpoint as its makers published it, and let phichat quantize it with "
            "--weights int8",
        )
    if "adapter_config.json" in names and not has_weights:
        raise _other_kind(
            folder,
            "an adapter (LoRA) without its model",
            "merge it into its base model and save that as safetensors",
        )
    if has_weights:
        return
    for ending, kind in _ENDINGS.items():
        if any(name.lower().endswith(ending) for name in names):
            raise _other_kind(folder, kind, _INSTEAD)


def _quantization(config: Mapping[str, Any]) -> str | None:
    """Return the name of the method that a config.json names; None for plain weights."""
    found = config.get("quantization_config") or config.get("compression_config")
    if isinstance(found, dict):
        method = str(found.get("quant_method") or found.get("quant_algo") or "another program")
        return _METHODS.get(method.lower(), method[:40])
    return "MLX" if isinstance(config.get("quantization"), dict) else None


def _other_kind(folder: Path, holds: str, advice: str) -> ModelError:
    return ModelError(f"{folder} holds {holds}: {advice}.", code="other_kind")
