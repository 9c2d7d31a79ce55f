"""Linear layers of a vision tower in fewer bits than 32, and how much quicker they are here.

What is between the products stays float32 where a tower adds it up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

from assistant.core.cpu.bfloat16 import BFloat16Linear
from assistant.core.formats import TOWER_ROWS

_log = logging.getLogger(__name__)

WIDTH = 1024
"""Width of CLIP ViT-L: the product that is measured."""

LEAST_GAIN = 1.3
"""Times float32's speed from which on a format is taken: packing and rounding cost something."""

HOPELESS_S = 0.05
"""Seconds of one hundredth of the product from which on nothing is measured: oneDNN multiplies what
a processor has no instructions for by a plain loop."""

Product = Callable[[torch.Tensor], torch.Tensor]


class FixedPointLinear(nn.Module):
    """A matrix [N, K] in whole numbers of 10 bits, a scale for each row, for many rows of float32.

    They stand in 16 bits; activations are rounded to 14. A bias is set later.
    """

    bias: nn.Parameter | None
    packed: torch.Tensor
    scales: torch.Tensor

    def __init__(self, matrix: torch.Tensor) -> None:
        from assistant.core.cpu import packed_int16 as kernel  # numba is here

        super().__init__()
        scales = matrix.float().abs().amax(-1).clamp_(min=1e-30).div_(kernel.WEIGHT_STEPS)
        numbers = (matrix.float() / scales[:, None]).round_().to(torch.int16)
        self._kernel = kernel.product
        self.register_parameter("bias", None)
        self.register_buffer("packed", kernel.pack(numbers))
        self.register_buffer("scales", scales)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = torch.zeros_like(self.scales) if self.bias is None else self.bias.detach()
        out = self._kernel(x.reshape(-1, x.shape[-1]), self.packed, self.scales, bias)
        return out.view(*x.shape[:-1], len(self.scales))


@cache
def has_int16() -> bool:
    """Whether the products of whole numbers can be compiled here, found out by trying."""
    try:
        from assistant.core.cpu.packed_int16 import COLUMNS, IS_HERE

        if IS_HERE:
            FixedPointLinear(torch.ones(COLUMNS, 2))(torch.ones(1, 2))
            return True
    except Exception as error:  # no numba for this platform, no folder to keep the result in
        _log.warning("the vision tower is not compiled: %s", str(error).strip().splitlines()[:1])
    return False


def has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16."""
    return torch.cpu._is_avx512_bf16_supported()


@cache
@torch.inference_mode()
def gain(held: str) -> float:
    """Measure how many times as fast as float32 a tower's products are, held in ``held``.

    It takes a tenth of a second. 1 where it is not worth taking. By the time that one thread
    computes, which other programs hardly change.
    """
    whole = nn.Linear(WIDTH, WIDTH, bias=False)
    with _one_thread():
        try:
            if held == "int16" and has_int16():
                narrow: Product = FixedPointLinear(whole.weight)
            elif held == "bfloat16" and has_bfloat16():
                narrow = BFloat16Linear(whole.weight)
            else:
                return 1.0
            few, x = (
                torch.full((TOWER_ROWS // 100, WIDTH), 0.5),
                torch.full((TOWER_ROWS, WIDTH), 0.5),
            )
            narrow(few)
            if _seconds(lambda: narrow(few)) > HOPELESS_S:
                return 1.0
            quickest = min(_seconds(lambda: narrow(x)) for _ in range(4))
            found = min(_seconds(lambda: whole(x)) for _ in range(4)) / quickest
        except RuntimeError:  # a build of torch without oneDNN
            return 1.0
    return found if found > LEAST_GAIN else 1.0


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if not has_int16():
            yield
            return
        import numba

        compiled = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            yield
        finally:
            numba.set_num_threads(compiled)
    finally:
        torch.set_num_threads(threads)


def _seconds(run: Callable[[], object]) -> float:
    started = time.thread_time()
    run()
    return time.thread_time() - started
