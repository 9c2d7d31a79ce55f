"""Speed of a model on this machine: an estimate from measured speeds of memory and arithmetic."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.places import choose_place
from assistant.core.memory.sizes import streamed_bytes
from assistant.core.memory.speeds import (
    FormatSpeed,
    measured_tower,
    speeds_folder,
    tower_gains,
    write_speeds,
)
from assistant.core.memory.values import MemoryPlan
from assistant.families.sizes import ModelSize
from assistant.values import python_child
from assistant.values.errors import ModelError

PROBE_SECONDS = 120
"""Importing torch takes seconds on a busy machine, the first look at a GPU more."""
BUSY = 0.5
"""Load of each core from which on a measurement is not kept: others computed too."""
PICTURE = (640, 480)
"""Width and height, in pixels, of the picture whose cost is reported."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Upper limits from measured speeds of memory and arithmetic; seconds and tokens/s."""

    bytes_per_s: float
    flop_per_s: float
    decode_tokens_per_s: float
    prefill_tokens_per_s: float
    picture_s: float


def measure(device: str) -> Mapping[str, Any]:
    """Ask torch about the device and its speeds, in a process of its own.

    Raises ModelError: with the code "no-torch" where PyTorch does not work at all.
    """
    try:
        done = subprocess.run(
            python_child.command("assistant.core.memory.probe", device),
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=True,
            env=python_child.environment(HF_HUB_OFFLINE="1"),
        )
        found: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        words = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        reason = words[-1] if words else "no reason given"
        raise ModelError(f"PyTorch does not work here ({reason}).", code="no-torch") from error
    if "error" in found:
        raise ModelError(str(found["error"]))
    return found


def measured_once(device: str) -> Mapping[str, Any]:
    """Return :func:`measure`'s answer, or the part of it that was kept for this processor.

    Raises ModelError as it does.
    """
    hardware = detect_hardware()
    if choose_place(hardware, device)[0].kind != "cpu":
        return measure(device)
    if whole := hardware.speeds.get("float32"):
        kept = {name: asdict(speed) for name, speed in hardware.speeds.items()}
        return {**asdict(whole), "formats": kept}
    is_busy = _load() > hardware.cpu.cores * BUSY
    found = measure(device)
    formats = {name: FormatSpeed(**one) for name, one in found.get("formats", {}).items()}
    if formats and not is_busy:
        write_speeds(speeds_folder(os.environ), hardware.processor_key, formats)
    return found


def _load() -> float:
    """Return how many programs computed during the last minute, as far as the system says."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows, some containers
        return 0.0


def estimate(
    size: ModelSize | None, plan: MemoryPlan | None, probe: Mapping[str, Any] | None, views: int
) -> Speed | None:
    """Estimate speeds; ``views`` of the picture run through the vision tower.

    Decoding a token reads every matrix, and the keys and values of 4,096 tokens.
    """
    if size is None or plan is None or probe is None or plan.problem is not None:
        return None
    bytes_per_s, flop_per_s = float(probe["bytes_per_s"]), float(probe["flop_per_s"])
    formats = probe.get("formats", {})
    held = formats.get(plan.held, {})
    gains = tower_gains({name: FormatSpeed(**one) for name, one in formats.items()})
    _, tower = measured_tower(gains, plan.dtype, plan.weights)
    read = streamed_bytes(size, plan.dtype, plan.weights)
    read += min(4096, plan.context_tokens) * plan.kv_bytes_per_token
    return Speed(
        bytes_per_s=bytes_per_s,
        flop_per_s=flop_per_s,
        decode_tokens_per_s=float(held.get("bytes_per_s", bytes_per_s)) / read,
        prefill_tokens_per_s=float(held.get("flop_per_s", flop_per_s)) / size.decoder_flop,
        picture_s=views * size.view_flop / (flop_per_s * tower),
    )
