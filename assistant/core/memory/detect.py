"""Detection of this machine's hardware. Never imports torch, never raises.

A fault becomes a sentence in ``Hardware.problems``. Main memory and processors are psutil's, less
the limits of a container. Seen to work on Linux with cgroup v1; other systems, cgroup v2 and real
NVIDIA cards have not run here: tests give them recorded answers.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from assistant.core.memory.cgroups import memory_limit, processor_limit, text_of
from assistant.core.memory.hardware import Cpu, Hardware, Memory, Problem, TorchBuild
from assistant.core.memory.nvidia import nvidia_cards
from assistant.core.memory.speeds import read_speeds, speeds_folder

_X86 = {"avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}
_INSTRUCTIONS = _X86 | {"asimddp", "i8mm", "bf16", "sve"}


def detect_hardware(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> Hardware:
    """Detect processor, memory, GPUs and PyTorch; ``root`` is where ``proc`` and ``sys`` are."""
    environ = os.environ if environ is None else environ
    problems: list[Problem] = []
    torch = _torch_build(problems)
    gpus = nvidia_cards(environ, problems)
    if gpus and torch is not None and torch.cuda is None:
        problems.append(
            Problem(
                f"nvidia-smi sees {gpus[0].name}, but the installed PyTorch {torch.version} is "
                "a build without CUDA, so the card is not used.",
                "Install phichat's packages again, with CUDA: make clean, then make chat.",
            )
        )
    found = Hardware(
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(root),
        memory=_memory(root, problems),
        gpus=gpus,
        torch=torch,
        flash_attn=importlib.util.find_spec("flash_attn") is not None,
        torchao=importlib.util.find_spec("torchao") is not None,
        problems=tuple(problems),
    )
    return replace(found, speeds=read_speeds(speeds_folder(environ), found.processor_key))


def _memory(root: Path, problems: list[Problem]) -> Memory:
    """Total and available memory of the system, no more than a container allows."""
    try:
        system = psutil.virtual_memory()
    except (OSError, RuntimeError, LookupError):  # no /proc, or one that psutil can't read
        problems.append(
            Problem(
                "How much memory this machine has could not be found out; 4 GB are assumed.",
                "Set the context by hand (--context N) if there is more or less.",
            )
        )
        found = Memory(4 * 2**30, 2 * 2**30)
    else:
        found = Memory(system.total, system.available)
    limit = memory_limit(root)
    if limit is None or limit[0] >= found.total:
        return found
    return Memory(limit[0], min(found.available, limit[1]), limited=True)


def _cpu(root: Path) -> Cpu:
    info = text_of(root / "proc/cpuinfo")
    named = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", info, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", info, re.MULTILINE)
    words = set(flags[1].split()) if flags else set()
    on_linux = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if on_linux else psutil.cpu_count() or 1
    return Cpu(
        name=named[1].strip() if named else _processor_name(),
        cores=min(cores, processor_limit(root) or cores),
        has_bf16=bool(words & {"avx512_bf16", "amx_bf16", "bf16"}),
        instructions=tuple(sorted(words & _INSTRUCTIONS)),
    )


def _processor_name() -> str:
    """Name the processor where there is no /proc; macOS has the trade name in a sysctl."""
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
            return done.stdout.strip()
    return platform.processor() or platform.machine()


def _torch_build(problems: list[Problem]) -> TorchBuild | None:
    """Read torch/version.py as text, because importing torch takes seconds and much memory."""
    spec = importlib.util.find_spec("torch")  # finds, does not import
    if spec is None or not spec.origin:
        problems.append(
            Problem(
                "PyTorch is not installed, so no model can run.",
                "Install phichat's packages again (make clean, make chat).",
            )
        )
        return None
    text = text_of(Path(spec.origin).parent / "version.py")
    version = re.search(r"^__version__\s*=\s*['\"]([^'\"]+)", text, re.MULTILINE)
    cuda = re.search(r"^cuda\b[^=\n]*=\s*['\"]([^'\"]+)", text, re.MULTILINE)
    if version is None:
        problems.append(
            Problem("PyTorch is there but its version can't be read.", "Reinstall torch.")
        )
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    return TorchBuild(
        version=version[1] if version else "unknown", cuda=cuda[1] if cuda else None, mps=apple
    )
