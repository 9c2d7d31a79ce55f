"""Tensors in large pages, for weights: each token reads them from one end to the other.

Of pages of 4 KiB a processor keeps too few addresses at hand; from large ones a token with int8
weights takes 0.86 to 0.89 of the time (tests/bench/README.md).
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from contextlib import suppress

import torch

PAGE = 2**21
"""Bytes of a large page on x86-64, and on ARM with small ones of 4 KiB."""


def empty(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return a tensor as :func:`torch.empty` does, in large pages where the system gives any."""
    size = math.prod(shape) * dtype.itemsize
    if device.type == "cpu" and size >= PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them; of too little memory torch has the words
            return _mapped(size, dtype).view(*shape)
    return torch.empty(shape, dtype=dtype, device=device)


def _mapped(size: int, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor of ``size`` bytes that begins with a large page."""
    pages = mmap.mmap(-1, size + PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(pages, dtype=torch.uint8)
    first = -whole.data_ptr() % PAGE
    return whole[first : first + size].view(dtype)
