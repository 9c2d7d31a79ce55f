"""Hardware of a machine as plain values: processor, memory, GPUs, the installed PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assistant.core.memory.speeds import FormatSpeed, processor_key


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of this machine and its remedy, one sentence each."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor; ``cores`` is how many this process may use by affinity and container limits.

    ``instructions`` are those that products may be computed with, by Linux's names. Processors that
    differ in them may have the same name, in a virtual machine above all.
    """

    name: str
    cores: int
    has_bf16: bool = False
    instructions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of main memory for this process; ``limited`` where a container allows only a part."""

    total: int
    available: int
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA card, sizes in bytes; ``index`` is CUDA's, which counts visible cards only."""

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
    """All that the choice of a device and the memory plan depend on.

    ``speeds`` are those that were measured on this processor before, by format.
    """

    system: str
    cpu: Cpu
    memory: Memory
    gpus: tuple[Gpu, ...] = ()
    torch: TorchBuild | None = None
    flash_attn: bool = False
    torchao: bool = False
    problems: tuple[Problem, ...] = field(default=())
    speeds: Mapping[str, FormatSpeed] = field(default_factory=dict)

    @property
    def processor_key(self) -> str:
        """Name the processor and the libraries of ``speeds``."""
        version = self.torch.version if self.torch is not None else "none"
        name = " ".join((self.cpu.name, *self.cpu.instructions))
        return processor_key(name, self.cpu.cores, version)
