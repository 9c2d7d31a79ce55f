"""Two sides of a ratio, measured in turn: what disturbs the machine disturbs both."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

Side = Callable[[], object]


def seconds(run: Side) -> float:
    """Wall clock of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def in_turn(rounds: int, **sides: Side) -> dict[str, list[float]]:
    """Run every side once to warm it, then A B C, A B C, …; seconds of each."""
    for run in sides.values():
        run()
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            measured[name].append(seconds(run))
    return measured


def best(measured: dict[str, list[float]]) -> dict[str, float]:
    """The quickest of each side: what the machine can do when nothing disturbs it."""
    return {name: min(times) for name, times in measured.items()}


def typical(measured: dict[str, list[float]]) -> dict[str, float]:
    """The median of each side."""
    return {name: median(times) for name, times in measured.items()}


def machine() -> dict[str, Any]:
    """Describe the machine of the figures, and how busy it was before."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    models = [line for line in text.splitlines() if line.startswith("model name")]
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.processor(),
        "units": [flag for flag in wanted if flag in flags],
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
    }
