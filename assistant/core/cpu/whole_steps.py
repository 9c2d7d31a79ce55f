"""Rows of float32 as whole numbers of steps: rounded, split into two terms of 8 bits, joined."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from assistant.core.cpu.compiler import compiled, on_all_cores
from assistant.core.cpu.llvm import bits_of, float_of

STEPS = 127 * 256
"""Steps of an activation from zero to the largest of its row, where the weights are int8."""

ZERO = 128 * 256 + 128
"""Steps of a zero before it is split: terms of 0 are then the most negative number."""

Array = np.ndarray[Any, Any]


@compiled
def _step(x: Array, most: int) -> np.float32:
    """Return the size of a step of a row, ``most`` of which lead to its largest number."""
    largest = np.int32(0)
    for i in range(len(x)):  # positive floats are in the order of their bits
        largest = max(largest, bits_of(abs(x[i])))
    step: np.float32 = max(float_of(largest), np.float32(1e-30)) / np.float32(most)
    return step


@compiled
def round_row(x: Array, whole: Array, most: int, zero: int) -> np.float32:
    """``whole`` = ``x`` in whole steps, rounded as :func:`split` does; returns a step's size.

    ``zero``, which is more than ``most``, is added while it is rounded.
    """
    step = _step(x, most)
    for i in range(len(x)):
        whole[i] = np.floor(x[i] / step + np.float32(zero + 0.5)) - np.float32(zero)
    return step


@on_all_cores
def round_rows(rows: Array, whole: Array, steps: Array, most: int, zero: int) -> None:
    """``whole`` [S, K] = ``rows`` [S, K] in whole steps of sizes ``steps`` [S]."""
    for s in prange(len(rows)):
        steps[s] = round_row(rows[s], whole[s], most, zero)


@compiled
def split_row(x: Array, upper: Array, lower: Array) -> np.float32:
    """Write ``x`` in whole steps as two int8 terms, 256 a + b; returns a step's size."""
    step = _step(x, STEPS)
    for i in range(len(x)):
        number = np.int32(x[i] / step + np.float32(ZERO + 0.5))  # cut off: rounded
        upper[i] = (number >> 8) - 128
        lower[i] = (number & 255) - 128
    return step


@on_all_cores
def split(rows: Array, terms: Array, steps: Array) -> None:
    """``rows`` [S, K] as two terms [2, S, K], and the sizes of their ``steps`` [S]."""
    for s in prange(len(rows)):
        steps[s] = split_row(rows[s], terms[0, s], terms[1, s])


@on_all_cores
def join(products: Array, scales: Array, steps: Array, out: Array) -> None:
    """``out`` [S, N] of the two terms' products [2, S, N] int32."""
    for s in prange(len(out)):
        for n in range(out.shape[1]):
            whole = np.float32(256) * products[0, s, n] + np.float32(products[1, s, n])
            out[s, n] = whole * scales[n] * steps[s]
