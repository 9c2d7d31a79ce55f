"""Main memory: what the system has, what is free of it, and what a container allows."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

from assistant.core.memory.machine import Memory, Problem
from assistant.core.memory.system_files import cgroups, number_in, printed_by, text_of


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
    if (meminfo := text_of(root / "proc/meminfo")) is not None:
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
    total = printed_by(["sysctl", "-n", "hw.memsize"])
    if total is None or not total.strip().isdigit():
        return None
    pages = printed_by(["vm_stat"]) or ""
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
    for folder, names in cgroups(root, "memory"):
        limit = number_in(folder / names["limit"])
        if limit is None or limit >= 2**62:  # "max", and cgroup v1's word for it
            continue
        used = number_in(folder / names["used"]) or 0
        stat = text_of(folder / "memory.stat") or ""
        # file pages that nobody looked at lately count as used and are dropped when needed
        kept = re.search(rf"^{names['cached']} (\d+)$", stat, re.MULTILINE)
        available = max(0, limit - used + min(used, int(kept[1]) if kept else 0))
        if tightest is None or available < tightest[1]:
            tightest = (limit, available)
    return tightest
