"""Measured speeds of each format of weights on this processor, kept in the cache folder. No torch.

They hold for a processor, its cores, the libraries that multiply and what the environment tells
these. :mod:`assistant.core.cpu.measure` measures them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from assistant.core.formats import TOWER_BESIDE, tower_format
from assistant.settings.paths import find_places
from assistant.values.words import counted

FILE = "speeds.json"

_KEPT = 8
"""Processors in the file: a home that several machines share."""

_SWITCHES = (
    "ATEN_CPU_CAPABILITY",
    "MKL_ENABLE_INSTRUCTIONS",
    "NUMBA_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
)
"""Variables that change which instructions are used, and on how many cores."""

SLOW_PROMPT = 1.3
"""Times float32's seconds of a prompt from which on a format is slow: chosen only if asked for, or
if nothing else fits."""


@dataclass(frozen=True, slots=True)
class FormatSpeed:
    """Operations per second of a prompt and bytes per second of decoding, in a format of weights.

    ``way`` is the quickest for the prompt where there are several: one of
    :data:`assistant.core.weights.INT8_WAYS` or ``BFLOAT16_WAYS``. ``tower_gain`` is how many times
    as fast as in float32 the products of the vision tower are in the format that
    ``formats.TOWER_BESIDE`` names.
    """

    flop_per_s: float
    bytes_per_s: float
    way: str = ""
    tower_gain: float = 1.0


Speeds = Mapping[str, FormatSpeed]
"""By the name of the format: float32, bfloat16, int8."""


def prompt_costs(speeds: Speeds) -> dict[str, float]:
    """Return how many times as long as in float32 a prompt takes in each format."""
    if "float32" not in speeds:
        return {}
    whole = speeds["float32"].flop_per_s
    return {name: whole / speed.flop_per_s for name, speed in speeds.items()}


def chosen_way(speeds: Speeds, weights: str, dtype: str) -> str | None:
    """Return the way that was measured to be the quickest, if ``weights`` have several."""
    speed = speeds.get(dtype if weights == "float" else weights)
    return speed.way or None if speed is not None else None


def tower_gains(speeds: Speeds) -> dict[str, float]:
    """Return how many times as fast as in float32 a vision tower is in each format."""
    found = {held: speeds[name].tower_gain for name, held in TOWER_BESIDE.items() if name in speeds}
    return found | ({"float32": 1.0} if speeds else {})


def measured_tower(gains: Mapping[str, float], dtype: str, weights: str) -> tuple[str, float]:
    """Choose the format of a vision tower by ``gains``; return it and its gain."""

    def gain(held: str) -> float:
        return gains.get(held, 1.0)

    held = tower_format(dtype, weights, gain)
    return held, gain(held)


def processor_key(name: str, cores: int, torch: str) -> str:
    """Name what speeds depend on: processor, libraries, switches of the environment, formats."""
    parts = [name, counted(cores, "core"), f"torch {torch}", *sorted(set(TOWER_BESIDE.values()))]
    for package in ("numba", "phichat"):
        with suppress(PackageNotFoundError):
            parts.append(f"{package} {version(package)}")
    parts += [f"{name}={os.environ[name]}" for name in _SWITCHES if name in os.environ]
    return ", ".join(parts)


def speeds_folder(environ: Mapping[str, str]) -> Path:
    """Return the cache folder of the user."""
    folder: Path = find_places(environ)[0]["cache_dir"]
    return folder


def read_speeds(folder: Path, key: str) -> dict[str, FormatSpeed]:
    """Return what was measured; nothing where it never was, or the file is damaged."""
    try:
        found = _entries(folder)[key]
        return {name: FormatSpeed(**speed) for name, speed in found.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def write_speeds(folder: Path, key: str, speeds: Speeds) -> None:
    """Keep ``speeds``; where the folder can't be written they are measured again next time."""
    entries = {}
    with suppress(OSError, ValueError, TypeError):
        entries = _entries(folder)
    entries.pop(key, None)
    entries[key] = {name: asdict(speed) for name, speed in speeds.items()}
    latest = dict(list(entries.items())[-_KEPT:])
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{FILE}.{os.getpid()}"
        beside.write_text(json.dumps(latest, indent=1), encoding="utf-8")
        beside.replace(folder / FILE)


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    entries = json.loads((folder / FILE).read_text(encoding="utf-8"))
    if not isinstance(entries, dict):
        raise ValueError("not a table of processors")
    return entries
