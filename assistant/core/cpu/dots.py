"""Rows of a matrix times one row of activations, in LLVM instructions: the product of decoding.

For int8, and for bfloat16 where the processor multiplies that, a row is laid out first as the
instructions take it (:func:`lay_out`), once for all rows of the matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from assistant.core.cpu import llvm
from assistant.core.cpu.compiler import by_types, compiled, has, instruction
from assistant.core.cpu.llvm import (
    BYTES,
    FLOAT,
    HALF,
    I8,
    I16,
    I32,
    I64,
    LINE,
    Values,
    bfloat16_bits,
    bits_of,
    float_of,
)
from assistant.core.cpu.whole_steps import STEPS, ZERO, round_row, split_row

LANES = 16
"""Numbers that are multiplied at once: one register of AVX-512, two of AVX, four of NEON."""

TERMS = 3
"""Terms of bfloat16 of an activation, 8 bits each: all 24 bits of a float32."""

ROWS = 8
"""Rows of a matrix that are read side by side, with the next as many on their way: so memory is
never waited for. Measured in tests/bench/README.md."""

Array = np.ndarray[Any, Any]

_HELD_AS = {types.float32: FLOAT, types.int16: HALF, types.uint16: I16, types.int8: I8}


@instruction
def dots(context: Any, matrix: Any, first: Any, x: Any) -> tuple[Any, Callable[..., Any]]:
    """Rows ``first`` to ``first + ROWS`` of ``matrix`` times ``x``: ROWS sums. Rows of some length.

    Where :func:`is_laid_out` ``x`` is what :func:`lay_out` made.
    """
    sums_type = types.UniTuple(types.float32, ROWS)

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        w, start, row = llvm.unpacked(context, b, signature, arguments)
        held = _HELD_AS[signature.args[0].dtype]
        product = _sums_of(held)
        K, stride = b.extract_value(w.shape, 1), b.extract_value(w.strides, 0)
        starts = llvm.starts_of_rows(b, w, start, ROWS)
        next_block = b.mul(stride, I64(ROWS))
        prefetch = llvm.function(b, "llvm.prefetch.p0", ir.VoidType(), [BYTES, I32, I32, I32])
        size = I64(held.get_abi_size(context.target_data))
        count = len(product.kinds)

        def add_numbers(k: Any, totals: Values) -> Values:
            """``step`` numbers of each row."""
            xs = product.activations(b, row.data, k, K)
            ends = []
            for i, one in enumerate(starts):
                place = b.gep(one, [b.mul(k, size)])
                # the same place in the next block of rows: read, data, into the second cache,
                # because the first one has no room for two blocks of long rows
                b.call(prefetch, [b.gep(place, [next_block]), I32(0), I32(2), I32(1)])
                ends += product.add(b, totals[i * count : (i + 1) * count], place, xs)
            return ends

        def add_part(k: Any, totals: Values) -> Values:
            """Part of each row, no longer than the running totals hold."""
            end = K
            if product.longest is not None:
                end = b.add(k, I64(product.longest))
                end = b.select(b.icmp_signed("<", end, K), end, K)
            span = (k, end, I64(product.step))
            ends = llvm.add_up(b, span, list(product.kinds) * ROWS, add_numbers)
            each = (ends[i * count : (i + 1) * count] for i in range(ROWS))
            parts = (product.end(b, one, row.data, K) for one in each)
            return [b.fadd(total, part) for total, part in zip(totals, parts, strict=True)]

        part = K if product.longest is None else I64(product.longest)
        sums = llvm.add_up(b, (I64(0), K, part), [FLOAT] * ROWS, add_part)
        return context.make_tuple(b, sums_type, sums)

    return sums_type(matrix, types.intp, x), generate


class _FloatSums:
    """Code that sums up a row, LANES numbers at a time, widened to float32.

    ``step`` numbers are taken at once, ``longest`` add up before a total is full, and ``kinds`` are
    the types of the running totals; ``activations`` and ``add`` write the inside of the loop,
    ``end`` what follows it. ``length`` activations are at ``row``.
    """

    step, longest = LANES, None

    def __init__(self, held: Any) -> None:
        self._held = held
        self.kinds = (_lanes(FLOAT),)

    def activations(self, b: Any, row: Any, k: Any, length: Any) -> Any:
        return llvm.load(b, b.gep(row, [k]), _lanes(FLOAT), 4)

    def add(self, b: Any, totals: Values, place: Any, xs: Any) -> Values:
        lanes = _lanes(FLOAT)
        fma = llvm.function(b, f"llvm.fma.v{LANES}f32", lanes, [lanes] * 3)
        return [b.call(fma, [_widened(b, llvm.load(b, place, _lanes(self._held))), xs, totals[0]])]

    def end(self, b: Any, totals: Values, row: Any, length: Any) -> Any:
        return llvm.across(b, totals[0])


class _TermSums(_FloatSums):
    """The same for bfloat16 by AVX-512 BF16: a product of each term of the activations."""

    step = LINE // 2

    def activations(self, b: Any, row: Any, k: Any, length: Any) -> Any:
        first = b.gep(b.bitcast(row, I16.as_pointer()), [k])
        places = (b.gep(first, [b.mul(length, I64(term))]) for term in range(TERMS))
        return [llvm.load(b, one, ir.VectorType(I16, self.step), 2) for one in places]

    def add(self, b: Any, totals: Values, place: Any, xs: Any) -> Values:
        weights, total = llvm.load(b, place, ir.VectorType(I16, self.step), 2), totals[0]
        for x in xs:
            total = llvm.add_neighbours(b, total, x, weights)
        return [total]


class _IntegerSums:
    """The same for 64 bytes of an int8 row at a time, by VNNI; activations are two terms of 8 bits.

    It multiplies unsigned by signed bytes: the weights, 128 more than they are, by the terms. What
    that adds, 128 for each activation, is taken off again at the end. Exact: no sum leaves 32 bits
    (255 x 128 x 8192 is 2^28).
    """

    step, longest = LINE, None
    kinds = (ir.VectorType(I32, LANES),) * 2

    def activations(self, b: Any, row: Any, k: Any, length: Any) -> Any:
        places = (b.gep(b.bitcast(row, BYTES), [one]) for one in (k, b.add(length, k)))
        return [llvm.load(b, one, self.kinds[0], 4) for one in places]

    def add(self, b: Any, totals: Values, place: Any, xs: Any) -> Values:
        registers = self.kinds[0]
        name = "llvm.x86.avx512.vpdpbusd.512"
        multiply_add = llvm.function(b, name, registers, [registers] * 3)
        higher = ir.Constant(registers, [-0x7F7F7F80] * LANES)  # the sign of each byte turned
        weights = b.xor(llvm.load(b, place, registers), higher)
        pairs = zip(totals, xs, strict=True)
        return [b.call(multiply_add, [total, weights, x]) for total, x in pairs]

    def end(self, b: Any, totals: Values, row: Any, length: Any) -> Any:
        name = f"llvm.vector.reduce.add.v{LANES}i32"
        reduce = llvm.function(b, name, I32, [self.kinds[0]])
        upper, lower = (b.sext(b.call(reduce, [total]), I64) for total in totals)
        added = llvm.load(b, b.gep(b.bitcast(row, BYTES), [b.mul(length, I64(2))]), I64)
        return b.sitofp(b.sub(b.add(b.mul(upper, I64(256)), lower), added), FLOAT)


class _PairSums:
    """The same by AVX2: weights widened to 16 bits, products of neighbours added in 32 bits.

    :mod:`assistant.core.cpu.many_rows` has the arithmetic, and why a sum is full after ``longest``.
    """

    step, longest = LINE, 4096
    kinds = (ir.VectorType(I32, LANES // 2),)

    def activations(self, b: Any, row: Any, k: Any, length: Any) -> Any:
        whole = b.gep(b.bitcast(row, I16.as_pointer()), [k])
        places = (b.gep(whole, [I64(i)]) for i in range(0, self.step, LANES))
        return [llvm.load(b, one, _lanes(I16), 4) for one in places]

    def add(self, b: Any, totals: Values, place: Any, xs: Any) -> Values:
        total = totals[0]
        for i, x in enumerate(xs):
            numbers = llvm.load(b, b.gep(place, [I64(i * LANES)]), _lanes(I8))
            products = llvm.multiply_neighbours(b, b.sext(numbers, _lanes(I16)), x)
            total = b.add(total, products)
        return [total]

    def end(self, b: Any, totals: Values, row: Any, length: Any) -> Any:
        return llvm.across_whole(b, totals[0])


@compiled
def _as_bytes(x: Array, row: Array) -> np.float32:
    """Write the upper terms of K activations, the lower ones, and 128 times their sum."""
    K, terms = len(x), row.view(np.int8)
    step: np.float32 = split_row(x, terms[:K], terms[K : 2 * K])
    total = np.int64(0)
    for i in range(K):
        total += np.int32(256) * terms[i] + terms[K + i]
    row.view(np.int64)[K // 4] = 128 * total
    return step


@compiled
def _as_pairs(x: Array, row: Array) -> np.float32:
    """Write numbers of 16 bits."""
    step: np.float32 = round_row(x, row.view(np.int16)[: len(x)], STEPS, ZERO)
    return step


@compiled
def _as_floats(x: Array, row: Array) -> np.float32:
    step: np.float32 = round_row(x, row[: len(x)], STEPS, ZERO)
    return step


@compiled
def _as_terms(x: Array, row: Array) -> np.float32:
    """Write the first terms of K activations, the second, and the third."""
    K, terms = len(x), row.view(np.int16)
    for i in range(K):
        rest = x[i]
        for term in range(TERMS):
            upper = bfloat16_bits(bits_of(rest))
            terms[term * K + i] = upper
            rest -= float_of(upper << np.int32(16))
    return np.float32(1)


def _writer_for(dtype: Any) -> Any:
    """Choose what lays out rows for a matrix held in this type; None for rows as they are."""
    if dtype == types.int8:
        return _as_bytes if has("avx512vnni") else _as_pairs if has("avx2") else _as_floats
    return _as_terms if dtype == types.uint16 and has("avx512bf16") else None


@by_types
def is_laid_out(matrix: Any) -> Any:
    """Whether a row is laid out for :func:`dots` with ``matrix``."""
    found = _writer_for(matrix.dtype) is not None
    return lambda matrix: found


@by_types
def lay_out(matrix: Any, x: Any, row: Any) -> Any:
    """Write a row ``x`` [K] of float32 to ``row`` [2 K], for ``matrix``; returns a step's size."""
    write = _writer_for(matrix.dtype) or _as_floats
    return lambda matrix, x, row: write(x, row)


def _sums_of(held: Any) -> Any:
    """Choose the code for a matrix held in this type, by what the processor has."""
    if held == I8 and has("avx512vnni"):
        return _IntegerSums()
    if held == I8 and has("avx2"):
        return _PairSums()
    return _TermSums(held) if held == I16 and has("avx512bf16") else _FloatSums(held)


def _lanes(element: Any) -> Any:
    return ir.VectorType(element, LANES)


def _widened(b: Any, numbers: Any) -> Any:
    """Widen a vector in the format of a matrix to float32, exactly."""
    held = numbers.type.element
    if held == I8:
        return b.sitofp(numbers, _lanes(FLOAT))
    if held == I16:  # bfloat16 is the upper half of a float32
        upper = b.shl(b.zext(numbers, _lanes(I32)), ir.Constant(_lanes(I32), [16] * LANES))
        return b.bitcast(upper, _lanes(FLOAT))
    return b.fpext(numbers, _lanes(FLOAT)) if held == HALF else numbers
