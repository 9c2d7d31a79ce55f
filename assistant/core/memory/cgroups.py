"""Limits of a container on memory and processors, from Linux cgroups of version 1 and 2."""

from __future__ import annotations

import re
from pathlib import Path

_V2 = {"limit": "memory.max", "used": "memory.current", "cached": "inactive_file"}
_V1 = {
    "limit": "memory.limit_in_bytes",
    "used": "memory.usage_in_bytes",
    "cached": "total_inactive_file",
}


def memory_limit(root: Path) -> tuple[int, int] | None:
    """Return (limit, available) in bytes of the tightest memory cgroup of this process.

    ``root`` is the folder of ``proc`` and ``sys``.
    """
    tightest: tuple[int, int] | None = None
    for folder, names in _cgroups(root, "memory"):
        limit = text_of(folder / names["limit"]).strip()
        if not limit.isdigit() or int(limit) >= 2**62:  # "max", and cgroup v1's number for it
            continue
        used = int(text_of(folder / names["used"]).strip() or 0)
        # inactive file pages count as used, and the kernel drops them when memory is short
        cached = re.search(
            rf"^{names['cached']} (\d+)$", text_of(folder / "memory.stat"), re.MULTILINE
        )
        available = max(0, int(limit) - used + min(used, int(cached[1]) if cached else 0))
        if tightest is None or available < tightest[1]:
            tightest = (int(limit), available)
    return tightest


def processor_limit(root: Path) -> int | None:
    """Return how many processors the CPU quotas of this process allow, at least 1."""
    limits = []
    for folder, names in _cgroups(root, "cpu"):
        if names is _V2:
            quota, period = [*(text_of(folder / "cpu.max") or "max").split(), "100000"][:2]
        else:
            quota = text_of(folder / "cpu.cfs_quota_us").strip()
            period = text_of(folder / "cpu.cfs_period_us").strip() or "100000"
        if quota.isdigit() and period.isdigit() and int(period):
            limits.append(max(1, int(quota) // int(period)))
    return min(limits, default=None)


def _cgroups(root: Path, controller: str) -> list[tuple[Path, dict[str, str]]]:
    """List this process's cgroup folders, from its own up to the top, and their file names.

    Inside a container the path in /proc/self/cgroup may be the host's, which does not
    exist here: then only the top, which is the container's own, can be read.
    """
    found: list[tuple[Path, dict[str, str]]] = []
    for line in text_of(root / "proc/self/cgroup").splitlines():
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


def text_of(path: Path) -> str:
    """Read a file; return "" where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
