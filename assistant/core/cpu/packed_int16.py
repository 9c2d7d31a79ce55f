"""CPU kernel (numba) for matrices of whole numbers laid out for many rows: a vision tower's.

Products are those of :mod:`assistant.core.cpu.many_rows`: neighbours of 16 bits, added in 32, by
``vpmaddwd`` (with VNNI LLVM makes ``vpdpwssd`` of it and the addition). The bits that a sum has are
shared out: 10 to a weight, which stands in 16, and 14 to an activation. There a register holds
numbers of one row of the matrix, and its sums are added up across; here it holds two numbers of
each of LANES rows, so that its sums are LANES results. Such a layout can't be read at memory's
speed for single tokens, which a tower never computes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import get_num_threads, prange, types

from assistant.core.cpu import llvm
from assistant.core.cpu.compiler import has, instruction, on_all_cores
from assistant.core.cpu.llvm import BYTES, FLOAT, I16, I32, I64, Values
from assistant.core.cpu.whole_steps import round_rows

Array = np.ndarray[Any, Any]

IS_HERE = has("avx2")
"""Whether the processor has the instructions."""

_IS_WIDE = has("avx512bw")

HAS_BFLOAT16 = _IS_WIDE and has("avx512bf16")
"""Whether :func:`tile` multiplies bfloat16 too."""

LANES = 16 if _IS_WIDE else 8
"""Sums of 32 bits in a register."""

COLUMNS = 2 * LANES
"""Rows of the matrix that are held side by side, two registers of sums:
:data:`assistant.core.formats.TOWER_COLUMNS` at most."""

ROWS = 8 if _IS_WIDE else 6
"""Rows of activations that meet them: 16 sums of 32 registers, 12 of 16 with AVX2."""

LONGEST = 512
"""Numbers of a row that are added up before a sum becomes a float: each lane adds up all of them,
and 512 x 511 x 8191 is just below 2^31."""

APART = 64
"""Numbers between two rows of activations. Without, rows of 8 KiB would share a sixteenth of the
second cache."""

MOST_BLOCKS = 8
"""Blocks of COLUMNS that meet LONGEST numbers of all rows of activations, which stay in the second
cache meanwhile; fewer where there would not be four groups of them for each thread."""

WEIGHT_STEPS, STEPS = 511, 8191
"""Steps from zero to the largest number of a row, of the matrix and of activations."""


def pack(numbers: torch.Tensor) -> torch.Tensor:
    """Lay out int16 ``numbers`` [N, K] as [N / COLUMNS, K / 2, COLUMNS, 2]."""
    N, K = numbers.shape
    return numbers.view(N // COLUMNS, COLUMNS, K // 2, 2).transpose(1, 2).contiguous()


def product(
    rows: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Multiply float32 ``rows`` [S, K] with a packed matrix, add ``bias`` [N]: [S, N]."""
    S, K = rows.shape
    whole = torch.empty(max(S, ROWS), K + APART, dtype=torch.int16)
    steps, out = rows.new_empty(S), rows.new_empty(S, len(scales))
    round_rows(rows.contiguous().numpy(), whole.numpy(), steps.numpy(), STEPS, STEPS + 1)
    arrays = (one.numpy() for one in (whole, steps, packed, scales, bias, out))
    blocks = max(1, min(MOST_BLOCKS, len(packed) // (4 * get_num_threads())))
    multiply_packed(blocks, *arrays)
    return out


@instruction
def tile(
    context: Any, x: Any, row: Any, block: Any, start: Any, end: Any, sums: Any, column: Any
) -> tuple[Any, Callable[..., Any]]:
    """ROWS rows of ``x`` times a block, ``start`` to ``end``: ``sums`` [ROWS, COLUMNS].

    They begin at ``column`` of ``sums``, whose type says what is multiplied: whole numbers for
    int32, bfloat16 for float32.
    """
    number, wide = I32 if sums.dtype == types.int32 else FLOAT, ir.VectorType(I16, 2 * LANES)
    total, pairs, registers = (
        ir.VectorType(number, LANES),
        ir.VectorType(I32, LANES),
        COLUMNS // LANES,
    )

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        x, row, block, start, end, sums, column = llvm.unpacked(context, b, signature, arguments)
        rows = llvm.starts_of_rows(b, x, row, ROWS)
        nothing = ir.Constant(pairs, ir.Undefined)

        def at(data: Any, offset: Any) -> Any:
            return b.gep(b.bitcast(data, BYTES), [offset])

        def add(k: Any, totals: Values) -> Values:
            # 1) two numbers of each row of the block
            place = at(block.data, b.mul(k, I64(2 * COLUMNS)))
            held = [llvm.load(b, at(place, I64(i * 4 * LANES)), wide, 2) for i in range(registers)]
            # 2) two numbers of each row of activations, the same in every lane
            ends: Values = []
            for one in rows:
                pair = llvm.load(b, at(one, b.mul(k, I64(2))), I32, 2)
                first = b.insert_element(nothing, pair, I32(0))
                same = b.bitcast(b.shuffle_vector(first, nothing, ir.Constant(pairs, None)), wide)
                before = totals[len(ends) : len(ends) + registers]
                ends += [
                    llvm.add_neighbours(b, one, same, w)
                    for one, w in zip(before, held, strict=True)
                ]
            return ends

        ends = llvm.add_up(b, (start, end, I64(2)), [total] * (ROWS * registers), add)
        into = [
            at(one, b.mul(column, I64(4))) for one in llvm.starts_of_rows(b, sums, I64(0), ROWS)
        ]
        for i, one in enumerate(ends):
            place = at(into[i // registers], I64(i % registers * 4 * LANES))
            b.store(one, b.bitcast(place, total.as_pointer()), align=4)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, block, n, n, sums, n), generate


@on_all_cores
def multiply_packed(
    blocks: int, whole: Array, steps: Array, packed: Array, scales: Array, bias: Array, out: Array
) -> None:
    """``out`` [S, N] = ``whole`` [S or ROWS, K] times the matrix, plus ``bias``.

    A thread takes ``blocks`` of the matrix together.
    """
    S, K = len(out), 2 * packed.shape[1]
    for group in prange((len(packed) + blocks - 1) // blocks):
        sums = np.empty((ROWS, COLUMNS), np.int32)
        for k in range(0, K, LONGEST):
            for number in range(group * blocks, min(len(packed), group * blocks + blocks)):
                n = number * COLUMNS
                scale, more = scales[n : n + COLUMNS], bias[n : n + COLUMNS]
                for row in range(0, S, ROWS):
                    s = min(row, len(whole) - ROWS)
                    tile(whole, s, packed[number], k, min(k + LONGEST, K), sums, 0)
                    # the last tile overlaps the one before
                    for i in range(row - s, min(ROWS, S - s)):
                        into, step = out[s + i, n : n + COLUMNS], steps[s + i]
                        for j in range(COLUMNS):
                            before = more[j] if k == 0 else into[j]
                            into[j] = before + np.float32(sums[i, j]) * scale[j] * step
