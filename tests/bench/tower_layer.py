"""A layer of CLIP's size in float32 and in fewer bits, with torch's attention and with ours.

    python -m tests.bench.tower_layer

CPU milliseconds of one thread, the best of 12 in turn; the switches of
tests/core/test_instruction_sets.py simulate another processor.
"""

from __future__ import annotations

import json
import time
from typing import Any

import torch
from torch import nn

from assistant.core.cpu import tower
from assistant.core.cpu.acceleration import loose_kernels
from assistant.core.cpu.bfloat16 import BFloat16Linear
from assistant.core.cpu.tower import FixedPointLinear
from assistant.core.formats import TOWER_ROWS
from assistant.phi3v.clip_model import ClipLayer
from assistant.phi3v.plain_config import ClipConfig

ROUNDS = 12
SIZES = ClipConfig(1024, 4096, 24, 16, 336, 14)


def layer(make: Any = None, *, quick: bool = False) -> ClipLayer:
    """Build a layer, its products by ``make``; ``quick``: with the kernels between them."""
    torch.manual_seed(0)
    made = ClipLayer(SIZES)
    for part in (made.self_attn, made.mlp) if make else ():
        for name, linear in list(part.named_children()):
            narrow = make(linear.weight)
            narrow.bias = linear.bias
            setattr(part, name, narrow)
    if quick:
        tower.quicken(made)
    return made


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    loose_kernels()
    layers: dict[str, nn.Module] = {"float32": layer()}
    formats = {"int16": FixedPointLinear} | (
        {"bfloat16": BFloat16Linear} if tower.has_bfloat16() else {}
    )
    for name, make in formats.items():
        layers |= {name: layer(make), f"{name}, kernels": layer(make, quick=True)}
    x = torch.randn(1, TOWER_ROWS, SIZES.hidden_size)
    for module in layers.values():
        module(x)
    torch.set_num_threads(1)  # numba's threads, once started, set torch's number again
    found: dict[str, list[float]] = {name: [] for name in layers}
    for _ in range(ROUNDS):
        for name, module in layers.items():
            started = time.thread_time()
            module(x)
            found[name].append(time.thread_time() - started)
    print(json.dumps({name: round(1e3 * min(seconds), 1) for name, seconds in found.items()}))


if __name__ == "__main__":
    main()
