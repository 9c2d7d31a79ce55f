"""What Linux says in files, and what other systems' programs print; None for what is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path

V2 = {"limit": "memory.max", "used": "memory.current", "cached": "inactive_file"}
V1 = {
    "limit": "memory.limit_in_bytes",
    "used": "memory.usage_in_bytes",
    "cached": "total_inactive_file",
}


def cgroups(root: Path, controller: str) -> list[tuple[Path, dict[str, str]]]:
    """This process's cgroup folders, from its own up to the top, and their file names.

    Inside a container the path in /proc/self/cgroup may be the host's, which does not
    exist here: then only the top, which is the container's own, is there to read.
    """
    found: list[tuple[Path, dict[str, str]]] = []
    for line in (text_of(root / "proc/self/cgroup") or "").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            mount, names = root / "sys/fs/cgroup", V2
        elif controller in controllers.split(","):
            mount, names = root / "sys/fs/cgroup" / controller, V1
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        found += [(mount.joinpath(*parts[:n]), names) for n in range(len(parts), -1, -1)]
    return found


def text_of(path: Path) -> str | None:
    """The content of a file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def number_in(path: Path) -> int | None:
    """The whole number that a file holds."""
    text = (text_of(path) or "").strip()
    return int(text) if text.isdigit() else None


def printed_by(command: list[str]) -> str | None:
    """What a program prints."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
