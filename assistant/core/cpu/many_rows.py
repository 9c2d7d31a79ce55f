"""CPU kernel (numba) for int8 matrices and many rows of activations: prompts without VNNI.

Activations are whole numbers of 16 bits, weights of 8. A register of weights is widened to 16 bits
and multiplied with one of activations, neighbours added in 32 bits: ``vpmaddwd`` does that for
twice as many numbers at once as a multiplication in float32 does. Sums are exact: a lane adds up
two products for each register, and half of :data:`LONGEST` of them leave no 32 bits
(2 x 127 x 256 x 127 x 256 is 2^31.0). Other processors multiply in 32 bits, without neighbours.

A file of its own, because numba compiles a file again when it has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types

from assistant.core.cpu.compiler import has, instruction, on_all_cores

Array = np.ndarray[Any, Any]

ROWS, COLUMNS = 4, 2
"""Rows of activations and of the matrix that meet in registers: 8 sums, 3 operands, of 16."""

BLOCK = 32
"""Rows of a matrix that one thread multiplies with all activations: 96 KiB of Phi-3's width, which
stay in the second cache."""

LONGEST = 4096
"""Numbers of a row that are added up before a sum becomes a float."""

STEPS, ZERO = 127 * 256, 128 * 256 + 128
"""As in :mod:`assistant.core.cpu.kernels`."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOAT, _BYTES = ir.FloatType(), _I8.as_pointer()


@instruction
def _tile(
    context: Any, x: Any, row: Any, w: Any, column: Any, start: Any, end: Any
) -> tuple[Any, Callable[..., Any]]:
    """Sum up ROWS rows of ``x`` times COLUMNS rows of ``w``, ``start`` to ``end``."""
    sums_type = types.UniTuple(types.float32, ROWS * COLUMNS)
    lanes, pairs = (32, True) if has("avx512bw") else (16, has("avx2"))
    held, wide = ir.VectorType(_I8, lanes), ir.VectorType(_I16, lanes)
    total = ir.VectorType(_I32, lanes // 2 if pairs else lanes)

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        def starts(which: int, count: int) -> list[Any]:
            array = context.make_array(signature.args[which])(context, b, arguments[which])
            stride, data = b.extract_value(array.strides, 0), b.bitcast(array.data, _BYTES)
            first = arguments[which + 1]
            return [b.gep(data, [b.mul(stride, b.add(first, _I64(i)))]) for i in range(count)]

        def function(name: str, result: Any, operands: list[Any]) -> Any:
            declared = b.module.globals.get(name)
            return declared or ir.Function(b.module, ir.FunctionType(result, operands), name)

        def products(x: Any, w: Any) -> Any:
            if not pairs:
                return b.mul(b.sext(x, total), b.sext(w, total))
            name = f"llvm.x86.avx{'2.pmadd.wd' if lanes == 16 else '512.pmaddw.d.512'}"
            return b.call(function(name, total, [wide, wide]), [x, w])

        rows, columns = starts(0, ROWS), starts(2, COLUMNS)
        before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
        b.branch(loop)
        b.position_at_end(loop)
        k = b.phi(_I64)
        k.add_incoming(arguments[4], before)
        sums = [b.phi(total) for _ in range(ROWS * COLUMNS)]
        weights = [
            b.sext(b.load(b.bitcast(b.gep(one, [k]), held.as_pointer()), align=1), wide)
            for one in columns
        ]
        ends: list[Any] = []
        for one in rows:
            place = b.gep(one, [b.mul(k, _I64(2))])
            activations = b.load(b.bitcast(place, wide.as_pointer()), align=2)
            for w in weights:
                ends.append(b.add(sums[len(ends)], products(activations, w)))
        for one, end in zip(sums, ends, strict=True):
            one.add_incoming(ir.Constant(total, None), before)
            one.add_incoming(end, loop)
        following = b.add(k, _I64(lanes))
        k.add_incoming(following, loop)
        b.cbranch(b.icmp_signed("<", following, arguments[5]), loop, after)
        b.position_at_end(after)
        floats = ir.VectorType(_FLOAT, total.count)
        add_up = function(f"llvm.vector.reduce.fadd.v{total.count}f32", _FLOAT, [_FLOAT, floats])
        found = [
            b.call(add_up, [_FLOAT(-0.0), b.sitofp(one, floats)], fastmath=["reassoc"])
            for one in ends
        ]
        return context.make_tuple(b, sums_type, found)

    return sums_type(x, types.intp, w, types.intp, types.intp, types.intp), generate


@on_all_cores
def in_steps(rows: Array, whole: Array, steps: Array, most: int, zero: int) -> None:
    """``whole`` [S, K] int16 = ``rows`` [S, K] in whole steps of sizes ``steps`` [S].

    ``most`` steps lead to the largest number of a row; ``zero``, which is more, is added while it
    is rounded.
    """
    for s in prange(len(rows)):
        largest = np.float32(1e-30)
        for i in range(rows.shape[1]):
            largest = max(largest, abs(rows[s, i]))
        steps[s] = step = largest / np.float32(most)
        for i in range(rows.shape[1]):
            # cut off a positive number: rounded as assistant.core.weights.split does
            whole[s, i] = np.int32(rows[s, i] / step + np.float32(zero + 0.5)) - zero


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
