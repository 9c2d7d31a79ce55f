"""Memory that is kept from pass to pass.

Large tensors come fresh from the operating system: the page faults of writing to one take longer
than the writing (64 MiB here: 17 ms for 5).
"""

from __future__ import annotations

import math

import torch


class KeptMemory:
    """Room for one float32 tensor at a time on the CPU, as large as the largest so far.

    What is in it is overwritten by whoever asks next; one thread computes.
    """

    def __init__(self) -> None:
        self._numbers = torch.empty(0)

    def room(self, *shape: int) -> torch.Tensor:
        """A tensor of ``shape``, its numbers undefined."""
        needed = math.prod(shape)
        if len(self._numbers) < needed:
            self._numbers = torch.empty(0)  # given back first: never both
            with torch.inference_mode(False):  # may be written to in either mode
                self._numbers = torch.empty(needed)
        return self._numbers[:needed].view(shape)
