"""Device, memory plan and attention of the worker. MPS has not run here yet."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.hardware import Gpu, Hardware
from assistant.core.memory.places import cpu_place, cuda_place, mps_place
from assistant.core.memory.plan import is_small, make_plan
from assistant.core.memory.speeds import Speeds, speeds_folder, write_speeds
from assistant.core.memory.values import MemoryPlan, Wanted
from assistant.families.registry import open_checkpoint
from assistant.values.errors import ModelError

_log = logging.getLogger(__name__)


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
        if device.type in ("cpu", "cuda", "mps"):  # the ones that memory is planned for
            return device
    except (RuntimeError, AssertionError):
        pass
    raise ModelError(f"There is no device {wanted!r} here: use auto or cpu.")


def plan_memory(
    folder: Path,
    device: torch.device,
    wanted: Wanted,
    detail: int | None = None,
    measuring: Callable[[], None] = lambda: None,
) -> tuple[MemoryPlan, Speeds]:
    """Plan a checkpoint on ``device``, with the memory that torch itself sees there.

    The speeds that it was planned with are measured once for a processor, if the model is large;
    ``measuring`` is called before. Raises ModelError when the checkpoint can't be read, or does
    not fit.
    """
    hardware = detect_hardware()
    size = open_checkpoint(folder, detail).size(folder.name)
    if device.type == "cuda":
        index = device.index if device.index is not None else torch.cuda.current_device()
        free, total = torch.cuda.mem_get_info(index)
        place = cuda_place(Gpu(index, torch.cuda.get_device_name(index), total, free), hardware)
    elif device.type == "mps":
        place = mps_place(hardware)
    else:
        if not hardware.speeds and not is_small(size):
            measuring()
            hardware = _measured(hardware)
        place = cpu_place(hardware)
    plan = make_plan(size, place, wanted)
    if plan.problem is not None:
        raise ModelError(plan.problem, code="memory")
    return plan, hardware.speeds


def _measured(hardware: Hardware) -> Hardware:
    """Measure the processor's speeds and keep them; without them where a library fails."""
    from assistant.core.cpu.measure import measure  # brings numba, which small models never need

    try:
        speeds = measure()
    except Exception as error:  # an instruction that a library lacks, memory that ran out
        _log.warning("speeds were not measured: %s", str(error).strip().splitlines()[:1])
        return hardware
    write_speeds(speeds_folder(os.environ), hardware.processor_key, speeds)
    return replace(hardware, speeds=speeds)


def choose_attention(device: torch.device, dtype: torch.dtype) -> str:
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
