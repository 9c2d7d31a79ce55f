"""What a machine is made of: plain values, in bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is odd about this machine, and what to do about it, each one sentence."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Cpu:
    """``cores`` is how many this process may use: affinity and container limits are respected."""

    name: str
    cores: int
    has_bf16: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of main memory for this process; ``limited`` when a container allows less than all."""

    total: int
    available: int
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA card that programs may use here; bytes; ``index`` as CUDA counts visible cards."""

    index: int
    name: str
    total: int
    free: int
    driver: str = ""
    capability: str = ""


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """The installed PyTorch: ``cuda`` is the CUDA version it was built for, None for a CPU build.

    ``mps`` is true for builds for Apple silicon.
    """

    version: str
    cuda: str | None = None
    mps: bool = False


@dataclass(frozen=True, slots=True)
class Hardware:
    """Everything that choosing a device and a memory plan takes."""

    system: str
    cpu: Cpu
    memory: Memory
    gpus: tuple[Gpu, ...] = ()
    torch: TorchBuild | None = None
    flash_attn: bool = False
    torchao: bool = False
    problems: tuple[Problem, ...] = field(default=())
