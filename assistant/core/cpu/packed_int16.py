"""CPU kernel (numba) for matrices of whole numbers laid out for many rows: a vision tower's.

Products are those of :mod:`assistant.core.cpu.many_rows`: neighbours of 16 bits, added in 32, by
``vpmaddwd`` (with VNNI LLVM makes ``vpdpwssd`` of it and the addition). The bits that a sum has are
shared out: 10 to a weight, which stands in 16, and 14 to an activation. There a register holds
numbers of one row of the matrix, and its sums are added up across; here it holds two numbers of
each of LANES rows, so that its sums are LANES results. Such a layout can't be read at memory's
speed for single tokens, which a tower never computes.

A file of its own, because numba compiles a file again when it has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import prange, types

from assistant.core.cpu.compiler import has, instruction, on_all_cores
from assistant.core.cpu.many_rows import in_steps

Array = np.ndarray[Any, Any]

IS_HERE = has("avx2")
"""Whether the processor has the instructions."""

_IS_WIDE = has("avx512bw")

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

WEIGHT_STEPS, STEPS = 511, 8191
"""Steps from zero to the largest number of a row, of the matrix and of activations."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES = _I8.as_pointer()


def pack(numbers: torch.Tensor) -> torch.Tensor:
    """Lay out int16 ``numbers`` [N, K] as [N / COLUMNS, K / 2, COLUMNS, 2]."""
    N, K = numbers.shape
    return numbers.view(N // COLUMNS, COLUMNS, K // 2, 2).transpose(1, 2).contiguous()


def product(
    rows: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Multiply float32 ``rows`` [S, K] with a packed matrix, add ``bias`` [N]: [S, N]."""
    S, K = rows.shape
    whole = torch.empty(max(S, ROWS), K, dtype=torch.int16)
    steps, out = rows.new_empty(S), rows.new_empty(S, len(scales))
    in_steps(rows.contiguous().numpy(), whole.numpy(), steps.numpy(), STEPS, STEPS + 1)
    arrays = (one.numpy() for one in (whole, steps, packed, scales, bias, out))
    multiply_packed(*arrays)
    return out


@instruction
def _tile(
    context: Any, x: Any, row: Any, block: Any, start: Any, end: Any, sums: Any
) -> tuple[Any, Callable[..., Any]]:
    """Write ``sums`` [ROWS, COLUMNS]: ROWS rows of ``x`` times a block, ``start`` to ``end``."""
    total, wide = ir.VectorType(_I32, LANES), ir.VectorType(_I16, 2 * LANES)
    registers = COLUMNS // LANES

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        def array(which: int) -> Any:
            return context.make_array(signature.args[which])(context, b, arguments[which])

        def at(data: Any, offset: Any) -> Any:
            return b.gep(b.bitcast(data, _BYTES), [offset])

        def products(pair: Any, weights: Any) -> Any:
            name = f"llvm.x86.avx{'512.pmaddw.d.512' if _IS_WIDE else '2.pmadd.wd'}"
            function = b.module.globals.get(name) or ir.Function(
                b.module, ir.FunctionType(total, [wide, wide]), name
            )
            return b.call(function, [b.bitcast(pair, wide), weights])

        activations, weights, found = array(0), array(2).data, array(5).data
        stride = b.extract_value(activations.strides, 0)
        rows = [
            at(activations.data, b.mul(stride, b.add(arguments[1], _I64(i)))) for i in range(ROWS)
        ]
        before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
        b.branch(loop)
        b.position_at_end(loop)
        k = b.phi(_I64)
        k.add_incoming(arguments[3], before)
        totals = [b.phi(total) for _ in range(ROWS * registers)]
        # 1) two numbers of each row of the block
        place = at(weights, b.mul(k, _I64(2 * COLUMNS)))
        held = [
            b.load(b.bitcast(at(place, _I64(i * 4 * LANES)), wide.as_pointer()), align=2)
            for i in range(registers)
        ]
        # 2) two numbers of each row of activations, the same in every lane
        ends: list[Any] = []
        nothing = ir.Constant(total, ir.Undefined)
        for one in rows:
            pair = b.load(b.bitcast(at(one, b.mul(k, _I64(2))), _I32.as_pointer()), align=2)
            first = b.insert_element(nothing, pair, _I32(0))
            same = b.shuffle_vector(first, nothing, ir.Constant(total, None))
            ends += [b.add(totals[len(ends) + i], products(same, w)) for i, w in enumerate(held)]
        for one, end in zip(totals, ends, strict=True):
            one.add_incoming(ir.Constant(total, None), before)
            one.add_incoming(end, loop)
        following = b.add(k, _I64(2))
        k.add_incoming(following, loop)
        b.cbranch(b.icmp_signed("<", following, arguments[4]), loop, after)
        b.position_at_end(after)
        for i, end in enumerate(ends):
            b.store(end, b.bitcast(at(found, _I64(i * 4 * LANES)), total.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, block, types.intp, types.intp, sums), generate


@on_all_cores
def multiply_packed(
    whole: Array, steps: Array, packed: Array, scales: Array, bias: Array, out: Array
) -> None:
    """``out`` [S, N] = ``whole`` [S or ROWS, K] times the matrix, plus ``bias``."""
    S, K = len(out), whole.shape[1]
    for number in prange(len(packed)):
        sums, n = np.empty((ROWS, COLUMNS), np.int32), number * COLUMNS
        block, scale, more = packed[number], scales[n : n + COLUMNS], bias[n : n + COLUMNS]
        for k in range(0, K, LONGEST):
            for row in range(0, S, ROWS):
                s = min(row, len(whole) - ROWS)
                _tile(whole, s, block, k, min(k + LONGEST, K), sums)
                for i in range(row - s, min(ROWS, S - s)):  # the last tile overlaps the one before
                    into, step = out[s + i, n : n + COLUMNS], steps[s + i]
                    for j in range(COLUMNS):
                        before = more[j] if k == 0 else into[j]
                        into[j] = before + np.float32(sums[i, j]) * scale[j] * step
