"""NVIDIA cards, from nvidia-smi, which comes with the driver."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace

from assistant.core.memory.hardware import Gpu, Problem

NVIDIA_SMI_SECONDS = 10
"""Seconds: nvidia-smi takes one or two when no program keeps the driver awake."""

_NVIDIA_FIELDS = "index,uuid,name,memory.total,memory.free,driver_version,compute_cap"


def nvidia_cards(environ: Mapping[str, str], problems: list[Problem]) -> tuple[Gpu, ...]:
    """List the cards that programs may use here; add faults of the driver to ``problems``."""
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
            card = Gpu(int(index), name, int(total) << 20, int(free) << 20, driver, capability)
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
    """List the cards that CUDA_VISIBLE_DEVICES leaves, in its order and counted from 0.

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
    return tuple(replace(card, index=number) for number, card in enumerate(chosen))
