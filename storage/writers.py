"""Identities of the processes that write turns, and whether they still run.

A reply that was being written by a process that has died is interrupted; one
that another terminal is still writing is left alone. A process id alone can't
tell these apart, because the system gives ids out again; together with the
moment the process started, and the boot it started in, it can.
"""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

_ENDED = frozenset("ZXx")
"""States of /proc/PID/stat in which a process is over though its id is still taken."""


def this_process() -> str:
    """Return the identity of this process: ``machine:pid:start``."""
    return _identity(os.getpid())


def is_alive(writer: str) -> bool | None:
    """Whether the process behind an identity still runs.

    ``None`` when that can't be known: it ran on another machine, or in another
    container on this one.
    """
    if writer == this_process():
        return True
    try:
        machine, pid_text, start = writer.split(":", 2)
        pid = int(pid_text)
    except ValueError:
        return None
    boot, _, namespace = machine.partition("/")
    here_boot, _, here_namespace = _machine().partition("/")
    if boot != here_boot:
        # Two boot ids in one SQLite file mean that the machine was started again in
        # between. Where there are no boot ids, these are host names, which can change.
        return False if namespace and here_namespace else None
    if namespace != here_namespace or not start:
        return None
    return start == _start(pid)


@cache
def _identity(pid: int) -> str:  # by pid: a forked child is a process of its own
    return f"{_machine()}:{pid}:{_start(pid)}"


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return platform.node().replace(":", "-").replace("/", "-")
    return f"{boot}/{namespace}"


def _start(pid: int) -> str:
    """Return the start of a process as an opaque word; empty when there is no such process."""
    if os.path.exists("/proc/self/stat"):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        except OSError:
            return ""
        # The name in parentheses may contain anything; after it come state (field 3)
        # and, as field 22, the start in clock ticks since boot.
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in _ENDED else fields[19]
    try:
        done = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607  (where ps is differs)
            capture_output=True,
            text=True,
            timeout=5,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    state, _, start = done.stdout.strip().partition(" ")
    return "" if state[:1] in _ENDED else "-".join(start.split()).replace(":", ".")
