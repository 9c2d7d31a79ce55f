"""Matrix products of a vision tower in bfloat16, on processors that have instructions for them.

The weights of a checkpoint in bfloat16 stay exact, activations are rounded to it before each
product, sums are float32. What is between the products stays float32 where a tower adds it up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import nn

ROWS, WIDTH = 577, 1024
"""Patches of a crop and width of CLIP ViT-L: the product that is measured."""

LEAST_NUMBERS = 2**20
"""Numbers of a matrix from which on it is worth a measurement: a tower of less takes no time."""

LEAST_GAIN = 1.3
"""Times float32's speed from which on bfloat16 is taken: packing and rounding cost something."""

HOPELESS_S = 0.05
"""Seconds of one hundredth of the product from which on nothing is measured: oneDNN multiplies what
a processor has no instructions for by a plain loop."""

_NAMED = 2048
"""Numbers of a packed matrix that stay readable, for the fingerprint of features that are kept."""


class BFloat16Linear(nn.Module):
    """A matrix [N, K] packed for oneDNN: rows in any format -> bfloat16. A bias is set later."""

    bias: nn.Parameter | None

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        weight = matrix.bfloat16().contiguous()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
        self.register_parameter("bias", None)
        self.register_buffer("start", weight.flatten()[:_NAMED].clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.bfloat16().contiguous()
        bias = None if self.bias is None else self.bias.bfloat16()
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._packed, bias, "none", [], ""
        )
        return out


def packed(matrix: torch.Tensor) -> BFloat16Linear | None:
    """Pack a matrix [N, K] of a tower if that is quicker here."""
    return BFloat16Linear(matrix) if matrix.numel() >= LEAST_NUMBERS and pays() else None


def pays() -> bool:
    """Say whether bfloat16 is multiplied clearly faster than float32 here."""
    return gain() > 1


@cache
@torch.inference_mode()
def gain() -> float:
    """Measure how many times as fast as float32 bfloat16 is here, in a tenth of a second.

    1 where it is not worth taking. By the time that one thread computes, which other programs
    hardly change.
    """
    if not torch.cpu._is_avx512_bf16_supported():
        return 1.0
    whole = nn.Linear(WIDTH, WIDTH, bias=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        narrow = BFloat16Linear(whole.weight)
        few, x = torch.full((ROWS // 100, WIDTH), 0.5), torch.full((ROWS, WIDTH), 0.5)
        narrow(few)
        if _seconds(lambda: narrow(few)) > HOPELESS_S:
            return 1.0
        quickest = min(_seconds(lambda: narrow(x)) for _ in range(4))
        found = min(_seconds(lambda: whole(x)) for _ in range(4)) / quickest
    except RuntimeError:  # a build of torch without oneDNN
        return 1.0
    finally:
        torch.set_num_threads(threads)
    return found if found > LEAST_GAIN else 1.0


def _seconds(run: Callable[[], object]) -> float:
    started = time.thread_time()
    run()
    return time.thread_time() - started
