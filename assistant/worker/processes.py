"""States of worker processes, as the system knows them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped (SIGSTOP, a debugger) and does not run."""
    import psutil  # takes 20 ms, and hardly any terminal asks

    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return False


def age_s(pid: int) -> float:
    """Return the seconds since a process was started; 0 where that can't be read."""
    import psutil

    try:
        return time.time() - float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def kill_worker(pid: int) -> None:
    """Kill a process if it is a worker of this user; numbers are given out again."""
    import psutil

    with suppress(psutil.Error, OSError):
        if "assistant.worker" in psutil.Process(pid).cmdline():
            os.kill(pid, signal.SIGKILL)
