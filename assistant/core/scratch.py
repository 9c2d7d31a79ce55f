"""Scratch buffers that are reused between forward passes.

Fresh memory from the operating system costs page faults, which take longer than the writing (64 MiB
here: 17 ms for 5).
"""

from __future__ import annotations

import math

import torch


class Scratch:
    """A buffer on the CPU for one float32 tensor at a time, as large as the largest so far.

    Its content is overwritten by the next user; one thread computes.
    """

    def __init__(self) -> None:
        self._numbers = torch.empty(0)

    def tensor(self, *shape: int) -> torch.Tensor:
        """Return a tensor of ``shape``, its numbers undefined."""
        needed = math.prod(shape)
        if len(self._numbers) < needed:
            self._numbers = torch.empty(0)  # freed first: never both
            with torch.inference_mode(False):  # may be written to in either mode
                self._numbers = torch.empty(needed)
        return self._numbers[:needed].view(shape)
