"""The limit of decoding: the fastest of several ways to read the same bytes once, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numba import prange
from torch.nn.functional import linear

from assistant.core.cpu.acceleration import loose_kernels
from assistant.core.cpu.compiler import on_all_cores

Array = np.ndarray[Any, Any]
Run = Callable[[], None]
Tensors = Sequence[torch.Tensor]


@on_all_cores
def add_up(numbers: Array, sums: Array) -> None:
    """``sums`` of as many parts of ``numbers``: a loop that does nothing but read."""
    part = len(numbers) // len(sums)
    for i in prange(len(sums)):
        total = np.int64(0)
        for j in range(i * part, i * part + part):
            total += numbers[j]
        sums[i] = total


def ways_to_read(
    matrices: Sequence[torch.Tensor], states: Sequence[torch.Tensor]
) -> dict[str, Run]:
    """Every way that was tried: sums by a loop, by torch, and products of one row.

    ``states`` are keys and values, float32, multiples of 1,024 numbers.
    """
    kernels = loose_kernels()
    everything = [*matrices, *states]
    as_integers = [one.detach().reshape(-1).view(torch.int64) for one in everything]
    arrays = [one.numpy() for one in as_integers]
    parts = np.zeros(torch.get_num_threads(), np.int64)
    rows = {one.shape[1]: torch.randn(1, one.shape[1]) for one in matrices}
    ones = torch.ones(1024)

    def loop() -> None:
        for array in arrays:
            add_up(array, parts)

    def sums() -> None:
        for one in as_integers:
            one.sum()

    def products(multiply: Callable[[torch.Tensor, torch.Tensor], object]) -> Run:
        def run() -> None:
            for matrix in matrices:
                multiply(rows[matrix.shape[1]], matrix)
            for one in states:
                torch.mv(one.view(-1, 1024), ones)

        return run

    found = {"read_loop": loop, "read_sums": sums, "read_torch": products(linear)}
    if kernels is not None:
        found["read_kernels"] = products(lambda row, matrix: kernels.multiply(matrix, None, row))
    return found


def fastest(seconds: dict[str, float]) -> tuple[str, float]:
    """Return the name and the seconds of the fastest way to read among all that was measured."""
    name = min((one for one in seconds if one.startswith("read_")), key=seconds.__getitem__)
    return name, seconds[name]
