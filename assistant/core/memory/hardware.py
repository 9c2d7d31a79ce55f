"""What this machine has: processor, memory, GPUs, the torch that is installed. Never imports torch.

Whatever can't be found out becomes a sentence in ``Hardware.problems``, never an exception.
Seen to work on Linux (cgroup v1). The macOS and Windows paths, cgroup v2 and real
NVIDIA cards were written from their documentation; tests give them recorded answers.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from assistant.core.memory.machine import Cpu, Gpu, Hardware, Memory, Problem, TorchBuild
from assistant.core.memory.main_memory import memory
from assistant.core.memory.nvidia import nvidia_cards
from assistant.core.memory.system_files import V2, cgroups, printed_by, text_of

__all__ = ["Cpu", "Gpu", "Hardware", "Memory", "Problem", "TorchBuild", "look", "memory"]


def look(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> Hardware:
    """Look at this machine. ``root`` is where ``proc`` and ``sys`` are (Linux)."""
    environ = os.environ if environ is None else environ
    problems: list[Problem] = []
    torch = _torch_build(problems)
    gpus = nvidia_cards(environ, problems)
    if gpus and torch is not None and torch.cuda is None:
        problems.append(
            Problem(
                f"nvidia-smi sees {gpus[0].name}, but the installed PyTorch {torch.version} is "
                "a build without CUDA, so the card is not used.",
                "Install the CUDA build: pip install --force-reinstall torch=="
                f"{torch.version.partition('+')[0]} --index-url https://download.pytorch.org/whl/"
                "cu130 (or the CUDA version of your driver).",
            )
        )
    return Hardware(
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(root),
        memory=memory(root, problems),
        gpus=gpus,
        torch=torch,
        flash_attn=importlib.util.find_spec("flash_attn") is not None,
        torchao=importlib.util.find_spec("torchao") is not None,
        problems=tuple(problems),
    )


def _cpu(root: Path) -> Cpu:
    info = text_of(root / "proc/cpuinfo") or ""
    named = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", info, re.MULTILINE)
    name = named[1].strip() if named else ""
    if not name and sys.platform == "darwin":
        name = (printed_by(["sysctl", "-n", "machdep.cpu.brand_string"]) or "").strip()
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", info, re.MULTILINE)
    words = set(flags[1].split()) if flags else set()
    return Cpu(
        name=name or platform.processor() or platform.machine(),
        cores=_cores(root),
        has_bf16=bool(words & {"avx512_bf16", "amx_bf16", "bf16"}),
    )


def _cores(root: Path) -> int:
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    for folder, names in cgroups(root, "cpu"):
        if names is V2:
            words = (text_of(folder / "cpu.max") or "max").split()
            quota, period = [*words, "100000"][:2]
        else:
            quota = (text_of(folder / "cpu.cfs_quota_us") or "-1").strip()
            period = (text_of(folder / "cpu.cfs_period_us") or "100000").strip()
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _torch_build(problems: list[Problem]) -> TorchBuild | None:
    """Read torch/version.py as text: importing torch takes seconds and much memory."""
    spec = importlib.util.find_spec("torch")  # finds, does not import
    if spec is None or not spec.origin:
        problems.append(
            Problem("PyTorch is not installed, so no model can run.", "Run: pip install torch")
        )
        return None
    text = text_of(Path(spec.origin).parent / "version.py") or ""
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
