"""CPU kernel (numba) for int8 matrices and many rows of activations: prompts without VNNI.

Activations are whole numbers of 16 bits, weights of 8. A register of weights is widened to 16 bits
and multiplied with one of activations, neighbours added in 32 bits: ``vpmaddwd`` does that for
twice as many numbers at once as a multiplication in float32 does. Sums are exact: a lane adds up
two products for each register, and half of :data:`LONGEST` of them leave no 32 bits
(2 x 127 x 256 x 127 x 256 is 2^31.0). Other processors multiply in 32 bits, without neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types

from assistant.core.cpu import llvm
from assistant.core.cpu.compiler import has, instruction, on_all_cores
from assistant.core.cpu.llvm import I8, I16, I32, I64, Values

Array = np.ndarray[Any, Any]

ROWS, COLUMNS = 4, 2
"""Rows of activations and of the matrix that meet in registers: 8 sums, 3 operands, of 16."""

BLOCK = 32
"""Rows of a matrix that one thread multiplies with all activations: 96 KiB of Phi-3's width, which
stay in the second cache."""

LONGEST = 4096
"""Numbers of a row that are added up before a sum becomes a float."""


@instruction
def _tile(
    context: Any, x: Any, row: Any, w: Any, column: Any, start: Any, end: Any
) -> tuple[Any, Callable[..., Any]]:
    """Sum up ROWS rows of ``x`` times COLUMNS rows of ``w``, ``start`` to ``end``."""
    sums_type = types.UniTuple(types.float32, ROWS * COLUMNS)
    lanes, pairs = (32, True) if has("avx512bw") else (16, has("avx2"))
    held, wide = ir.VectorType(I8, lanes), ir.VectorType(I16, lanes)
    total = ir.VectorType(I32, lanes // 2 if pairs else lanes)

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        x, row, w, column, start, end = llvm.unpacked(context, b, signature, arguments)
        rows = llvm.starts_of_rows(b, x, row, ROWS)
        columns = llvm.starts_of_rows(b, w, column, COLUMNS)

        def products(x: Any, w: Any) -> Any:
            if pairs:
                return llvm.multiply_neighbours(b, x, w)
            return b.mul(b.sext(x, total), b.sext(w, total))

        def add(k: Any, sums: Values) -> Values:
            weights = [b.sext(llvm.load(b, b.gep(one, [k]), held), wide) for one in columns]
            ends: Values = []
            for one in rows:
                activations = llvm.load(b, b.gep(one, [b.mul(k, I64(2))]), wide, 2)
                for w in weights:
                    ends.append(b.add(sums[len(ends)], products(activations, w)))
            return ends

        ends = llvm.add_up(b, (start, end, I64(lanes)), [total] * (ROWS * COLUMNS), add)
        found = [llvm.across_whole(b, one) for one in ends]
        return context.make_tuple(b, sums_type, found)

    return sums_type(x, types.intp, w, types.intp, types.intp, types.intp), generate


@on_all_cores
def multiply_rows(whole: Array, steps: Array, matrix: Array, scales: Array, out: Array) -> None:
    """``out`` [S, N] = ``whole`` [S, K] times ``matrix`` [N, K]. S >= ROWS, N >= COLUMNS."""
    S, K, N = len(whole), whole.shape[1], len(matrix)
    for block in prange((N + BLOCK - 1) // BLOCK):
        first, end = block * BLOCK, min(block * BLOCK + BLOCK, N)
        for k in range(0, K, LONGEST):
            for row in range(0, S, ROWS):
                s = min(row, S - ROWS)
                for column in range(first, end, COLUMNS):
                    n = min(column, N - COLUMNS)
                    sums = _tile(whole, s, matrix, n, k, min(k + LONGEST, K))
                    for i in range(row - s, ROWS):  # the last tiles overlap those before them
                        for j in range(column - n, COLUMNS):
                            more = sums[i * COLUMNS + j] * scales[n + j] * steps[s + i]
                            if k == 0:
                                out[s + i, n + j] = more
                            else:
                                out[s + i, n + j] += more
