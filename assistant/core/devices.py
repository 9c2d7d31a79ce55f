"""Which device and number format the worker uses. CUDA and MPS paths have not run here yet."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import torch

from assistant.errors import ModelError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(wanted: str) -> torch.device:
    """“auto” is CUDA, then MPS, then the CPU. Raises ModelError for a device that is not there."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ModelError(f"There is no device {wanted!r} here: use auto or cpu.") from None
    return device


def choose_dtype(wanted: str, device: torch.device, folder: Path) -> torch.dtype | str:
    """“auto” keeps the checkpoint's own format on accelerators.

    On a CPU it is float32 where that takes at most half of the free memory:
    CPUs without bf16 units prefill five times faster in it.
    """
    if wanted in _DTYPES:
        return _DTYPES[wanted]
    if wanted != "auto":
        raise ModelError(f"There is no number format {wanted!r}: use auto, float32 or bfloat16.")
    if device.type != "cpu":
        return "auto"
    stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return torch.float32 if 2 * stored <= _free_memory() // 2 else "auto"


def choose_attention(device: torch.device, dtype: torch.dtype | str) -> str:
    """flash-attn 2 on CUDA where it is installed and the format suits it, SDPA otherwise."""
    installed = importlib.util.find_spec("flash_attn") is not None
    if device.type == "cuda" and dtype != torch.float32 and installed:
        return "flash_attention_2"
    return "sdpa"


SMALL_MODEL = 32_000_000
"""Parameters below which one thread is quicker than several on a CPU. Measured with the demo model
(4.7 M) on two cores: 211 tokens/s on one thread; on two 156 when the machine is idle and 6 when
something else runs, because the threads of each tiny product wait for each other."""


def choose_threads(parameters: int) -> int | None:
    """Threads for a model of this size on a CPU; None leaves it to torch (all cores)."""
    return 1 if parameters < SMALL_MODEL else None


def _free_memory() -> int:
    """Bytes of memory that are free or can be freed at once."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
