"""Bytes that are really taken: KV per token, peak while loading over the weights."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.formats import KV_KINDS, kv_bytes_per_token, kv_fixed_bytes
from assistant.phi3v.rope import Regime
from tests.bench.subjects import FORMATS, Scale

POSITIONS = 8192


@torch.inference_mode()
def kv() -> dict[str, Any]:
    """Bytes that each token adds (from 8,192 to 16,384 positions of "mid"'s shape), and all bytes
    over the arithmetic, which has the float tail of an int8 cache in it."""
    layers, heads, head_dim = 12, 8, 96
    found: dict[str, Any] = {}
    for kind in KV_KINDS:
        cache = KVCache(layers, Regime.LONG, kind)
        states = torch.randn(1, heads, POSITIONS, head_dim)
        sizes = []
        for _ in range(2):
            for layer in cache.layers:
                layer.update(states, states)
            sizes.append(cache.nbytes)
        shape = layers, heads, head_dim, "float32"
        arithmetic = kv_fixed_bytes(kind, *shape) + POSITIONS * kv_bytes_per_token(kind, *shape)
        found[kind] = {
            "bytes_per_token": (sizes[1] - sizes[0]) / POSITIONS,
            "arithmetic_per_token": kv_bytes_per_token(kind, *shape),
            "all_over_arithmetic": sizes[0] / arithmetic,
        }
    return found


def load_peaks(scale: Scale) -> dict[str, Any]:
    """Each format of "wide" in a process of its own."""
    found = {}
    for form in FORMATS:
        command = [sys.executable, "-m", "tests.bench.load_peak", str(scale.folders["wide"])]
        done = subprocess.run(
            [*command, "--format", form], capture_output=True, text=True, check=True
        )
        found[form] = json.loads(done.stdout.splitlines()[-1])["load_peak_over_weights"]
    return found
