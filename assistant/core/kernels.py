"""Interface of a kernel library for CPUs: what ``accelerate(model)`` returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

TokenLayer = Callable[[torch.Tensor, tuple[torch.Tensor, torch.Tensor], Any], torch.Tensor]
"""One decoder layer for one token: hidden [1, hidden], rotation and cache layer -> [1, hidden]."""


class Kernels(Protocol):
    """Compiled code for one model. Rows of activations are float32.

    The results of :meth:`gate` and :meth:`rotate` are overwritten by the next call.
    """

    token_layers: Sequence[TokenLayer] | None
    """None where torch computes the layers: only products use the kernels then."""

    def use_threads(self, count: int) -> None:
        """Compute on ``count`` threads, when called from the one that calls this."""
        ...

    def multiply(
        self, matrix: torch.Tensor, scales: torch.Tensor | None, rows: torch.Tensor
    ) -> torch.Tensor | None:
        """Multiply few ``rows`` [S, K] with ``matrix`` [N, K], which is read once: [S, N].

        None for a device, format or shape that the kernels do not read.
        """
        ...

    def multiply_many(
        self,
        matrix: torch.Tensor,
        scales: torch.Tensor,
        rows: torch.Tensor,
        out: torch.Tensor,
    ) -> bool:
        """Write ``rows`` [S, K] times an int8 ``matrix`` [N, K] into ``out`` [S, N].

        False for shapes that the kernels do not read.
        """
        ...

    def multiply_by_tiles(
        self,
        matrix: torch.Tensor,
        scales: torch.Tensor | None,
        rows: torch.Tensor,
        out: torch.Tensor,
    ) -> bool:
        """Do the same by tiles of AMX, for a matrix of int8 or bfloat16; False without them."""
        ...

    def split(self, rows: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
        """Compute :func:`assistant.core.weights.split`."""
        ...

    def join(
        self, products: torch.Tensor, scales: torch.Tensor, steps: torch.Tensor, out: torch.Tensor
    ) -> None:
        """Compute :func:`assistant.core.weights.join`."""
        ...

    def gate(self, gate_up: torch.Tensor) -> torch.Tensor:
        """Return silu(gate) * up of [S, 2 M]: [S, M]."""
        ...

    def rotate(self, qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Return ``qkv`` [S, 3 H D] as [3 H, S, D], queries and keys rotated."""
        ...

    def fail(self, error: Exception) -> None:
        """Report that a kernel failed: ``accelerate`` returns None for the rest of the process."""
        ...
