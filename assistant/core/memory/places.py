"""Places for a model: a card, an Apple machine's memory, main memory. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from assistant.core.formats import weight_kinds
from assistant.core.memory.hardware import Gpu, Hardware
from assistant.core.memory.speeds import Speeds, prompt_costs, tower_gains

MIB, GIB = 2**20, 2**30

CPU_LIBRARIES = 560 * MIB
"""torch imported (148 MiB of its own and 81 of its files in use, measured on Linux with torch 2.13
for CPUs; 254 and 84 with transformers, which other devices load; a system may show more of the
files, which it can take back), the scratch memory of matrix products (20 to 50 MiB seen), numba
and LLVM with the kernels (55 MiB imported, 60 more in use; 175 in the process that compiles them,
once a machine)."""

CUDA_LIBRARIES = GIB
"""CUDA context, loaded kernels, cuBLAS workspaces, the recorded graph and what torch's allocator
can't hand out again. On an H200 (CUDA 13.0) 770 MiB beside the allocator, 100 within it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Memory for a model, in bytes: ``libraries`` take their part, ``reserve`` stays free.

    ``device`` is torch's name ("cuda:0"), ``title`` a person's. ``host`` is main memory for
    conversations that leave an accelerator; 0 where there is one memory only. ``weights`` are
    the formats of matrices that can be used there. ``prompt_costs`` are times float32's seconds
    of a prompt, by format, where they were measured; ``tower_gains`` times float32's speed of a
    vision tower.
    """

    device: str
    title: str
    total: int
    available: int
    libraries: int
    reserve: int
    weights: tuple[str, ...]
    host: int = 0
    prompt_costs: Mapping[str, float] = field(default_factory=dict)
    tower_gains: Mapping[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self.device.partition(":")[0]


def choose_place(hardware: Hardware, device: str = "auto") -> tuple[Place, str]:
    """Choose the device for the setting ``device``, without torch; returns it and the reason.

    The CPU where the device that is asked for is not there.
    """
    torch = hardware.torch
    kind, _, number = device.partition(":")
    if kind in ("auto", "cuda") and torch is not None and torch.cuda:
        for gpu in hardware.gpus:
            if gpu.index == int(number or 0):
                return cuda_place(gpu, hardware), f"{gpu.name} is here and PyTorch can use it."
    if kind in ("auto", "mps") and torch is not None and torch.mps:
        return mps_place(hardware), "Apple's GPU shares the machine's memory."
    if device in ("auto", "cpu"):
        why = "it was asked for" if device == "cpu" else "there is no GPU that PyTorch can use"
        return cpu_place(hardware), f"The CPU is used: {why}."
    return cpu_place(hardware), f"The CPU is used: there is no {device} that PyTorch can use."


def cuda_place(gpu: Gpu, hardware: Hardware) -> Place:
    """Return an NVIDIA card as a place; a screen has its memory already, so little stays free."""
    return Place(
        f"cuda:{gpu.index}",
        gpu.name,
        gpu.total,
        gpu.free,
        CUDA_LIBRARIES,
        reserve=gpu.total // 50,
        weights=weight_kinds("cuda") if hardware.torchao else ("float", "int8"),
        host=max(0, hardware.memory.available - 2 * _reserve(hardware.memory.total)) // 4,
    )


def mps_place(hardware: Hardware) -> Place:
    """Return an Apple GPU as a place.

    Of the one memory it may wire two thirds, three quarters above 36 GB: Metal's default
    recommendedMaxWorkingSetSize, as widely reported and not measured.
    """
    memory = hardware.memory
    share = memory.total * 3 // 4 if memory.total > 36 * GIB else memory.total * 2 // 3
    available = min(share, memory.available)
    return _in_main_memory("mps", hardware, share, available)


def cpu_place(hardware: Hardware) -> Place:
    """Return main memory as a place."""
    memory = hardware.memory
    place = _in_main_memory("cpu", hardware, memory.total, memory.available)
    return with_speeds(place, hardware.speeds)


def with_speeds(place: Place, speeds: Speeds) -> Place:
    """Return ``place``, of main memory, with what was measured of its processor."""
    return replace(place, prompt_costs=prompt_costs(speeds), tower_gains=tower_gains(speeds))


def _in_main_memory(kind: str, hardware: Hardware, total: int, available: int) -> Place:
    reserve = _reserve(hardware.memory.total)
    name = hardware.cpu.name
    return Place(kind, name, total, available, CPU_LIBRARIES, reserve, weight_kinds(kind))


def _reserve(total: int) -> int:
    """Return the bytes left to other programs: a tenth, 256 MiB at least, 2 GiB at most."""
    return min(2 * GIB, max(256 * MIB, total // 10))
