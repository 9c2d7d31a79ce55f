"""Probe of torch's devices and speeds, as JSON: ``python -m assistant.core.memory.probe``.

A process of its own, because the command line never imports torch. Measures for under two
seconds how fast memory is read and matrices are multiplied, which is what decoding and prefill
are made of; on a CPU in each format of weights. The MPS branch has never run here.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from assistant.core.cpu.acceleration import threading_layer
from assistant.core.memory.devices import choose_attention, choose_device
from assistant.values.errors import ModelError

ROWS, COLUMNS = 8192, 3072
"""A matrix of Phi-3's width, 100 MB in float32: no cache holds it."""

PREFILL_ROWS = 128

CARD_TIMES, CARD_PREFILL_ROWS, PASSES = 4, 1024, 10
"""A card holds 50 MB near its processors and takes a chunk to be busy. Waiting for its answer takes
as long as reading 20 MB: for several products at once."""

SECONDS = 0.4
"""Seconds of each measurement; the best round counts, as other programs may be running."""


def look(wanted: str) -> dict[str, Any]:
    """Device, memory, formats and speeds as torch has them. Raises ModelError."""
    device = choose_device(wanted)
    attention = choose_attention(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": str(device),
        "attention": attention,
        "threads": torch.get_num_threads(),
        "flash_attn": importlib.util.find_spec("flash_attn") is not None,
        "total_bytes": None,
        "free_bytes": None,
        "bf16": None,
    }
    if device.type == "cuda":
        found["free_bytes"], found["total_bytes"] = torch.cuda.mem_get_info(device)
        found["title"] = torch.cuda.get_device_name(device)
        found["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "mps":
        found["total_bytes"] = torch.mps.recommended_max_memory()
    else:
        found["title"] = torch.backends.cpu.get_cpu_capability()
    formats = _formats() if device.type == "cpu" else {}
    if "float32" in formats:
        whole = formats["float32"]
        speeds = {"bytes_per_s": whole["bytes_per_s"], "flop_per_s": whole["flop_per_s"]}
    else:
        speeds = _speeds(device)
    return found | speeds | {"formats": formats, "kernel_threads": threading_layer()}


def _formats() -> dict[str, dict[str, Any]]:
    """Measure each format on this processor; nothing where a library fails."""
    from assistant.core.cpu.measure import measure

    try:
        return {name: asdict(speed) for name, speed in measure().items()}
    except RuntimeError:
        return {}


def _speeds(device: torch.device) -> dict[str, float]:
    """Bytes read per second by a matrix-vector product, operations per second by a large one."""
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    with torch.inference_mode():
        is_cpu = device.type == "cpu"
        height = ROWS if is_cpu else ROWS * CARD_TIMES
        asked = PREFILL_ROWS if is_cpu else CARD_PREFILL_ROWS
        matrix = torch.full((height, COLUMNS), 0.01, dtype=dtype, device=device)
        row = torch.ones(COLUMNS, dtype=dtype, device=device)
        rows = torch.ones(asked, COLUMNS, dtype=dtype, device=device)
        vector_s = _best(lambda: matrix @ row, device)
        product_s = _best(lambda: rows @ matrix.T, device)
    return {
        "bytes_per_s": matrix.nbytes / vector_s,
        "flop_per_s": 2 * matrix.numel() * asked / product_s,
    }


def _best(compute: Callable[[], torch.Tensor], device: torch.device) -> float:
    passes = 1 if device.type == "cpu" else PASSES
    compute()
    best, ends = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < ends:
        started = time.perf_counter()
        for _ in range(passes):
            compute()
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        best = min(best, (time.perf_counter() - started) / passes)
    return best


def main() -> None:
    """Print what was found, or ``{"error": sentence}``; the argument is the device setting."""
    try:
        found = look(sys.argv[1] if len(sys.argv) > 1 else "auto")
    except ModelError as error:
        found = {"error": str(error)}
    except Exception as error:  # a broken driver raises whatever it likes
        found = {"error": f"PyTorch failed: {(str(error) or type(error).__name__).splitlines()[0]}"}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
