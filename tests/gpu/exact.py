"""Checks of what must be right on the card: the goldens, pictures, doctor, one answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import logits_of, prefill
from assistant.core.weights import load_model
from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.rope import regime_of
from tests.bench.exactness import embedded
from tests.bench.subjects import ours
from tests.bench.timing import machine
from tests.conftest import GOLDENS, ROOT
from tests.gpu.checks import Given, arguments, run

LONGEST = 600
"""Positions of a prompt that the CPU reads beside the card."""
DOCTOR_S, ASK_S = 45, 60


@torch.inference_mode()
def goldens(device: torch.device) -> dict[str, Any]:
    """The largest relative rms of logits against the CPU's in float32.

    bfloat16's own noise keeps it below 0.06, as the goldens' README measured.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    folder = GOLDENS / "tiny-phi3v"
    cases = json.loads((GOLDENS / "logits.json").read_text(encoding="utf-8"))["cases"]
    cases = [case for case in cases if case["length"] < LONGEST and not case["cut"]]
    exact = ours(folder)
    layers = exact.config.num_hidden_layers
    states = [embedded(exact, case) for case in cases]
    regimes = [regime_of(len(part), exact.config) for part in states]
    every = [
        logits_of(exact, prefill(exact, part, KVCache(layers, regime)))
        for part, regime in zip(states, regimes, strict=True)
    ]
    found: dict[str, Any] = {"prompts": len(cases), "limit_of_bfloat16": 0.06}
    for dtype in (torch.float32, torch.bfloat16):
        there = load_model(folder, device=device, dtype=dtype)
        weight = there.embed_tokens.weight
        for kind in ("float", "int8", "int4"):
            worst, changed = 0.0, 0
            for part, regime, wanted in zip(states, regimes, every, strict=True):
                here = prefill(there, part.to(weight), KVCache(layers, regime, kind))
                got = logits_of(there, here).cpu()
                worst = max(worst, float((got - wanted).pow(2).mean().sqrt() / wanted.std()))
                changed += int((got.argmax(-1) != wanted.argmax(-1)).sum())
            name = f"{str(dtype).removeprefix('torch.')}_kv_{kind}"
            found[name] = {"relative_rms": worst, "top1_changed": changed}
    return found


@torch.inference_mode()
def pictures(device: torch.device) -> dict[str, Any]:
    """The largest relative rms of a picture's features against the CPU's in float32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    folder = GOLDENS / "tiny-phi3v"
    exact = ours(folder)
    found: dict[str, Any] = {}
    for name in ("sq336.png", "vga_480x640.png"):
        seen = Phi3VImageProcessor(num_crops=4)([Image.open(GOLDENS / "images" / name)])
        pixels, sizes = seen["pixel_values"], seen["image_sizes"]
        wanted = exact.vision(pixels, sizes)[0]
        for dtype in (torch.float32, torch.bfloat16):
            there: Any = load_model(folder, device=device, dtype=dtype)
            got = there.vision(pixels, sizes)[0].float().cpu()
            off = (got - wanted).pow(2).mean().sqrt() / wanted.std()
            found[f"{name} {str(dtype).removeprefix('torch.')}"] = float(off)
    return found


def where(device: torch.device) -> dict[str, Any]:
    """The machine and its card."""
    found = machine()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "card": properties.name,
            "card_bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
        }
    return found


def phichat(*arguments: str, seconds: float) -> dict[str, Any]:
    """Run ``phichat …`` in a home of its own; what it printed, and the worker's log."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "assistant.cli", *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PHICHAT_HOME": home, "PHICHAT_KEEP_ALIVE": "0"},
            timeout=seconds,
        )
        logs = {
            path.name: path.read_text(encoding="utf-8", errors="replace")[-2000:].splitlines()
            for path in Path(home).rglob("*.log")
        }
    return {
        "exit": done.returncode,
        "out": done.stdout[-6000:].splitlines(),
        "err": done.stderr[-2000:].splitlines(),
        "logs": logs,
    }


def ask() -> dict[str, Any]:
    """Ask the demo model about a picture, on the device that "auto" chooses."""
    picture = str(ROOT / "assistant" / "samples" / "scene.png")
    question = ("What is in this picture?", "--model", "demo", "--json")
    return phichat("ask", "-i", picture, *question, seconds=ASK_S)


def main(given: Given) -> None:
    """Run every check."""
    run(
        {
            "machine": (20, lambda: where(given.device)),
            "goldens": (60, lambda: goldens(given.device)),
            "pictures": (30, lambda: pictures(given.device)),
            "ask": (ASK_S + 5, ask),
            "doctor": (DOCTOR_S + 5, lambda: phichat("doctor", seconds=DOCTOR_S)),
            "doctor_json": (
                DOCTOR_S + 5,
                lambda: phichat("doctor", "--json", seconds=DOCTOR_S),
            ),
        },
        given.seconds,
    )


if __name__ == "__main__":
    main(arguments())
