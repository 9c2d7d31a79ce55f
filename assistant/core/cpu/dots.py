"""Rows of a matrix times one row of activations, in LLVM instructions: the product of decoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from assistant.core.cpu import llvm
from assistant.core.cpu.compiler import has, instruction
from assistant.core.cpu.llvm import BYTES, FLOAT, HALF, I8, I16, I32, I64, Values
from assistant.core.cpu.whole_steps import ZERO

LANES = 16
"""Numbers that are multiplied at once: one register of AVX-512, two of AVX, four of NEON."""

INT8_LANES = 64
"""The same of int8."""

ROWS = 8
"""Rows of a matrix that are read side by side, with the next as many on their way: so memory is
never waited for. Measured in tests/bench/README.md."""

_HELD_AS = {types.float32: FLOAT, types.int16: HALF, types.uint16: I16, types.int8: I8}


@instruction
def dots(context: Any, matrix: Any, first: Any, x: Any) -> tuple[Any, Callable[..., Any]]:
    """Rows ``first`` to ``first + ROWS`` of ``matrix`` times ``x``: ROWS sums. len(x) > 0."""
    sums_type = types.UniTuple(types.float32, ROWS)

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        w, start, row = llvm.unpacked(context, b, signature, arguments)
        held = _HELD_AS[signature.args[0].dtype]
        product = _sums_of(held)
        K, stride = b.extract_value(row.shape, 0), b.extract_value(w.strides, 0)
        starts = llvm.starts_of_rows(b, w, start, ROWS)
        next_block = b.mul(stride, I64(ROWS))
        prefetch = llvm.function(b, "llvm.prefetch.p0", ir.VoidType(), [BYTES, I32, I32, I32])
        size = I64(held.get_abi_size(context.target_data))
        count = len(product.kinds)

        def add_numbers(k: Any, totals: Values) -> Values:
            """``step`` numbers of each row."""
            xs = product.activations(b, b.gep(row.data, [k]))
            ends = []
            for i, one in enumerate(starts):
                place = b.gep(one, [b.mul(k, size)])
                # read, keep in every cache, data: the same place in the next block of rows
                b.call(prefetch, [b.gep(place, [next_block]), I32(0), I32(3), I32(1)])
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
            parts = (product.end(b, ends[i * count : (i + 1) * count]) for i in range(ROWS))
            return [b.fadd(total, part) for total, part in zip(totals, parts, strict=True)]

        part = K if product.longest is None else I64(product.longest)
        sums = llvm.add_up(b, (I64(0), K, part), [FLOAT] * ROWS, add_part)
        return context.make_tuple(b, sums_type, sums)

    return sums_type(matrix, types.intp, x), generate


class _FloatSums:
    """Code that sums up a row, LANES numbers at a time, widened to float32.

    ``step`` numbers are taken at once, ``longest`` add up before a total is full, and ``kinds`` are
    the types of the running totals; ``activations`` and ``add`` write the inside of the loop,
    ``end`` what follows it.
    """

    step, longest = LANES, None

    def __init__(self, held: Any) -> None:
        self._held = held
        self.kinds = (_lanes(FLOAT),)

    def activations(self, b: Any, place: Any) -> Any:
        return llvm.load(b, place, _lanes(FLOAT), 4)

    def add(self, b: Any, totals: Values, place: Any, xs: Any) -> Values:
        lanes = _lanes(FLOAT)
        fma = llvm.function(b, f"llvm.fma.v{LANES}f32", lanes, [lanes] * 3)
        return [b.call(fma, [_widened(b, llvm.load(b, place, _lanes(self._held))), xs, totals[0]])]

    def end(self, b: Any, totals: Values) -> Any:
        return llvm.across(b, totals[0])


class _IntegerSums:
    """The same for 64 bytes of an int8 row at a time, by VNNI; activations are whole, of 16 bits.

    It multiplies unsigned by signed bytes: the activations, ZERO more than they are, as two
    unsigned bytes. What that adds, ZERO for each weight, is taken off again by the third sum, of
    the weights alone. Exact: no sum leaves 32 bits (255 x 127 x 8192 is 2^28).
    """

    step, longest = INT8_LANES, None
    kinds = (ir.VectorType(I32, LANES),) * 3

    def activations(self, b: Any, place: Any) -> Any:
        floats, integers = ir.VectorType(FLOAT, self.step), ir.VectorType(I32, self.step)
        whole = b.fptosi(llvm.load(b, place, floats, 4), integers)
        shifted = b.add(whole, ir.Constant(integers, [ZERO] * self.step))
        upper = b.lshr(shifted, ir.Constant(integers, [8] * self.step))
        registers, octets = self.kinds[0], ir.VectorType(I8, self.step)
        terms = [b.bitcast(b.trunc(term, octets), registers) for term in (upper, shifted)]
        return [*terms, ir.Constant(registers, [0x01010101] * LANES)]

    def add(self, b: Any, totals: Values, place: Any, xs: Any) -> Values:
        registers = self.kinds[0]
        name = "llvm.x86.avx512.vpdpbusd.512"
        multiply_add = llvm.function(b, name, registers, [registers] * 3)
        weights = llvm.load(b, place, registers)
        pairs = zip(totals, xs, strict=True)
        return [b.call(multiply_add, [total, x, weights]) for total, x in pairs]

    def end(self, b: Any, totals: Values) -> Any:
        name = f"llvm.vector.reduce.add.v{LANES}i32"
        reduce = llvm.function(b, name, I32, [self.kinds[0]])
        upper, lower, weights = (b.sext(b.call(reduce, [total]), I64) for total in totals)
        both = b.add(b.mul(upper, I64(256)), lower)
        return b.sitofp(b.sub(both, b.mul(weights, I64(ZERO))), FLOAT)


class _PairSums:
    """The same by AVX2: weights widened to 16 bits, products of neighbours added in 32 bits.

    :mod:`assistant.core.cpu.many_rows` has the arithmetic, and why a sum is full after ``longest``.
    """

    step, longest = INT8_LANES, 4096
    kinds = (ir.VectorType(I32, LANES // 2),)

    def activations(self, b: Any, place: Any) -> Any:
        places = (b.gep(place, [I64(i)]) for i in range(0, self.step, LANES))
        floats = (llvm.load(b, one, _lanes(FLOAT), 4) for one in places)
        return [b.trunc(b.fptosi(one, _lanes(I32)), _lanes(I16)) for one in floats]

    def add(self, b: Any, totals: Values, place: Any, xs: Any) -> Values:
        total = totals[0]
        for i, x in enumerate(xs):
            numbers = llvm.load(b, b.gep(place, [I64(i * LANES)]), _lanes(I8))
            products = llvm.multiply_neighbours(b, b.sext(numbers, _lanes(I16)), x)
            total = b.add(total, products)
        return [total]

    def end(self, b: Any, totals: Values) -> Any:
        return llvm.across_whole(b, totals[0])


def _sums_of(held: Any) -> Any:
    """Choose the code for a matrix held in this type, by what the processor has."""
    if held == I8 and has("avx512vnni"):
        return _IntegerSums()
    if held == I8 and has("avx2"):
        return _PairSums()
    return _FloatSums(held)


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
