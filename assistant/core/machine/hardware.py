"""What this machine has: processor, memory, GPUs, the torch that is installed. Never imports torch.

Whatever can't be found out becomes a sentence in ``Hardware.problems``, never an exception.
Seen to work on Linux (cgroup v1). The macOS and Windows paths, cgroup v2 and real
NVIDIA cards were written from their documentation; tests give them recorded answers.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20
NVIDIA_SMI_SECONDS = 10
"""nvidia-smi takes a second or two when no program keeps the driver awake."""

_NVIDIA_FIELDS = "index,uuid,name,memory.total,memory.free,driver_version,compute_cap"


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


def look(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> Hardware:
    """Look at this machine. ``root`` is where ``proc`` and ``sys`` are (Linux)."""
    environ = os.environ if environ is None else environ
    problems: list[Problem] = []
    torch = _torch_build(problems)
    gpus = _nvidia(environ, problems)
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


# Memory


def memory(root: Path = Path("/"), problems: list[Problem] | None = None) -> Memory:
    """Main memory: what the system says, and no more than a container allows."""
    found = _system_memory(root)
    if found is None:
        if problems is not None:
            problems.append(
                Problem(
                    "How much memory this machine has could not be found out; 4 GB are assumed.",
                    "Set the context by hand (--context N) if there is more or less.",
                )
            )
        found = Memory(4 * 2**30, 2 * 2**30)
    limit = _container_memory(root)
    if limit is None or limit[0] >= found.total:
        return found
    return Memory(limit[0], min(found.available, limit[1]), limited=True)


def _system_memory(root: Path) -> Memory | None:
    if (meminfo := _text(root / "proc/meminfo")) is not None:
        found = re.findall(r"^(\w+):\s+(\d+) kB", meminfo, re.MULTILINE)
        values = {str(name): int(kib) * 1024 for name, kib in found}
        total = values.get("MemTotal", 0)
        free = values.get("MemAvailable", values.get("MemFree", 0))  # none before kernel 3.14
        return Memory(total, free) if total else None
    if sys.platform == "darwin":
        return _mac_memory()
    if sys.platform == "win32":
        return _windows_memory()
    return None


def _mac_memory() -> Memory | None:
    total = _run(["sysctl", "-n", "hw.memsize"])
    if total is None or not total.strip().isdigit():
        return None
    pages = _run(["vm_stat"]) or ""
    stated = re.search(r"page size of (\d+) bytes", pages)
    size = int(stated[1]) if stated else 4096
    # inactive and speculative pages are given up as soon as someone asks
    kinds = r"Pages (?:free|inactive|speculative|purgeable):\s+(\d+)"
    free = sum(int(count) for count in re.findall(kinds, pages)) * size
    return Memory(int(total), free or int(total) // 2)


def _windows_memory() -> Memory | None:
    # MEMORYSTATUSEX: two DWORDs, then seven 64-bit numbers (total and available physical first)
    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            ("available", ctypes.c_uint64),
            ("rest", ctypes.c_uint64 * 5),
        ]

    status = Status()
    status.length = ctypes.sizeof(Status)
    kernel32 = getattr(ctypes, "windll").kernel32  # noqa: B009 (exists on Windows only)
    if not kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return Memory(int(status.total), int(status.available))


def _container_memory(root: Path) -> tuple[int, int] | None:
    """(limit, available) of the tightest memory cgroup that this process is in."""
    tightest: tuple[int, int] | None = None
    for folder, names in _cgroups(root, "memory"):
        limit = _whole(folder / names["limit"])
        if limit is None or limit >= 2**62:  # "max", and cgroup v1's word for it
            continue
        used = _whole(folder / names["used"]) or 0
        stat = _text(folder / "memory.stat") or ""
        # file pages that nobody looked at lately count as used and are dropped when needed
        kept = re.search(rf"^{names['cached']} (\d+)$", stat, re.MULTILINE)
        available = max(0, limit - used + min(used, int(kept[1]) if kept else 0))
        if tightest is None or available < tightest[1]:
            tightest = (limit, available)
    return tightest


_V2 = {"limit": "memory.max", "used": "memory.current", "cached": "inactive_file"}
_V1 = {
    "limit": "memory.limit_in_bytes",
    "used": "memory.usage_in_bytes",
    "cached": "total_inactive_file",
}


def _cgroups(root: Path, controller: str) -> list[tuple[Path, dict[str, str]]]:
    """This process's cgroup folders, from its own up to the top, and their file names.

    Inside a container the path in /proc/self/cgroup may be the host's, which does not
    exist here: then only the top, which is the container's own, is there to read.
    """
    found: list[tuple[Path, dict[str, str]]] = []
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            mount, names = root / "sys/fs/cgroup", _V2
        elif controller in controllers.split(","):
            mount, names = root / "sys/fs/cgroup" / controller, _V1
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        found += [(mount.joinpath(*parts[:n]), names) for n in range(len(parts), -1, -1)]
    return found


# Processor


def _cpu(root: Path) -> Cpu:
    info = _text(root / "proc/cpuinfo") or ""
    named = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", info, re.MULTILINE)
    name = named[1].strip() if named else ""
    if not name and sys.platform == "darwin":
        name = (_run(["sysctl", "-n", "machdep.cpu.brand_string"]) or "").strip()
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
    for folder, names in _cgroups(root, "cpu"):
        if names is _V2:
            words = (_text(folder / "cpu.max") or "max").split()
            quota, period = [*words, "100000"][:2]
        else:
            quota = (_text(folder / "cpu.cfs_quota_us") or "-1").strip()
            period = (_text(folder / "cpu.cfs_period_us") or "100000").strip()
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


# NVIDIA


def _nvidia(environ: Mapping[str, str], problems: list[Problem]) -> tuple[Gpu, ...]:
    """Cards by nvidia-smi, which comes with the driver; no library of our own is needed."""
    program = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if program is None:
        return ()
    command = [program, f"--query-gpu={_NVIDIA_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        problems.append(
            Problem(
                f"nvidia-smi did not answer within {NVIDIA_SMI_SECONDS} seconds.",
                "The NVIDIA driver may hang: restart the machine, then run phichat doctor again.",
            )
        )
        return ()
    except OSError as error:
        problems.append(
            Problem(f"nvidia-smi can't be run ({error.strerror}).", "Reinstall the NVIDIA driver.")
        )
        return ()
    if done.returncode:
        said = (done.stdout.strip() or done.stderr.strip() or "no reason given").splitlines()[0]
        problems.append(
            Problem(
                f"nvidia-smi is here but found no card ({said.rstrip('.')}).",
                "Check the NVIDIA driver (restart after an update); in a container, start it "
                "with access to the GPU (docker run --gpus all).",
            )
        )
        return ()
    return _visible(_cards(done.stdout, problems), environ.get("CUDA_VISIBLE_DEVICES"), problems)


def _cards(listing: str, problems: list[Problem]) -> list[tuple[str, Gpu]]:
    cards = []
    for line in filter(None, map(str.strip, listing.splitlines())):
        values = [value.strip() for value in line.split(",")]
        try:
            index, uuid, name, total, free, driver, capability = values
            card = Gpu(int(index), name, int(total) * MIB, int(free) * MIB, driver, capability)
        except ValueError:  # a card that shares main memory says [N/A]
            problems.append(
                Problem(
                    f"nvidia-smi says something unexpected about a card ({line[:80]}).",
                    "The card is left out of the plan; choose a device by hand (PHICHAT_DEVICE).",
                )
            )
        else:
            cards.append((uuid, card))
    return cards


def _visible(
    cards: list[tuple[str, Gpu]], wanted: str | None, problems: list[Problem]
) -> tuple[Gpu, ...]:
    """The cards that CUDA_VISIBLE_DEVICES leaves, in its order and counted from 0.

    Like CUDA, the list ends at the first entry that names no card.
    """
    if wanted is None:
        return tuple(card for _, card in cards)
    chosen: list[Gpu] = []
    for word in (word.strip() for word in wanted.split(",")):
        for uuid, card in cards:
            if word == str(card.index) or (word.startswith("GPU-") and uuid.startswith(word)):
                chosen.append(card)
                break
        else:
            break
    if cards and not chosen:
        problems.append(
            Problem(
                f"CUDA_VISIBLE_DEVICES={wanted!r} hides every NVIDIA card.",
                "Unset it to use the card.",
            )
        )
    return tuple(
        Gpu(number, c.name, c.total, c.free, c.driver, c.capability)
        for number, c in enumerate(chosen)
    )


# PyTorch


def _torch_build(problems: list[Problem]) -> TorchBuild | None:
    """Read torch/version.py as text: importing torch takes seconds and much memory."""
    spec = importlib.util.find_spec("torch")  # finds, does not import
    if spec is None or not spec.origin:
        problems.append(
            Problem("PyTorch is not installed, so no model can run.", "Run: pip install torch")
        )
        return None
    text = _text(Path(spec.origin).parent / "version.py") or ""
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


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _whole(path: Path) -> int | None:
    text = (_text(path) or "").strip()
    return int(text) if text.isdigit() else None


def _run(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
