"""LLVM instructions that the kernels share: rows of an array, a loop that adds up, sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import initialize_native_asmparser
from numba import types

from assistant.core.cpu.compiler import compiled, has, instruction

initialize_native_asmparser()  # or LLVM ends the process at the first ``ir.InlineAsm``

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
FLOAT, HALF, BYTES = ir.FloatType(), ir.HalfType(), I8.as_pointer()

Values = list[Any]
Array = np.ndarray[Any, Any]


def function(b: Any, name: str, result: Any, operands: Sequence[Any]) -> Any:
    """Declare one of LLVM's own functions."""
    declared = b.module.globals.get(name)
    return declared or ir.Function(b.module, ir.FunctionType(result, operands), name)


def unpacked(context: Any, b: Any, signature: Any, arguments: Any) -> Values:
    """Return ``arguments``, an array as what it consists of."""
    return [
        context.make_array(kind)(context, b, one) if isinstance(kind, types.Array) else one
        for kind, one in zip(signature.args, arguments, strict=True)
    ]


def load(b: Any, place: Any, kind: Any, align: int = 1) -> Any:
    """Read a number or a vector."""
    return b.load(b.bitcast(place, kind.as_pointer()), align=align)


def starts_of_rows(b: Any, array: Any, first: Any, count: int) -> Values:
    """Return the addresses of ``count`` rows of ``array`` from ``first`` on."""
    stride, data = b.extract_value(array.strides, 0), b.bitcast(array.data, BYTES)
    return [b.gep(data, [b.mul(stride, b.add(first, I64(i)))]) for i in range(count)]


def add_up(
    b: Any,
    span: tuple[Any, Any, Any],
    kinds: Sequence[Any],
    add: Callable[[Any, Values], Values],
    firsts: Values | None = None,
) -> Values:
    """Write a loop of at least one pass; returns its totals of types ``kinds``.

    They are ``firsts`` at first, or zero.

    ``span`` is where it starts, where it ends and how far a pass goes. ``add`` gets the place and
    the totals, writes the inside of the loop and returns the totals after it.
    """
    first, end, step = span
    firsts = firsts or [ir.Constant(kind, None) for kind in kinds]
    before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.branch(loop)
    b.position_at_end(loop)
    place = b.phi(I64)
    totals = [b.phi(kind) for kind in kinds]
    found = add(place, totals)
    following = b.add(place, step)
    for value, at_first, then in (
        (place, first, following),
        *zip(totals, firsts, found, strict=True),
    ):
        value.add_incoming(at_first, before)
        value.add_incoming(then, b.block)
    b.cbranch(b.icmp_signed("<", following, end), loop, after)
    b.position_at_end(after)
    return found


def multiply_neighbours(b: Any, x: Any, w: Any) -> Any:
    """Multiply vectors of 16 bits and add neighbours in 32: ``vpmaddwd``."""
    count = x.type.count
    name = f"llvm.x86.avx{'512.pmaddw.d.512' if count == 32 else '2.pmadd.wd'}"
    total = ir.VectorType(I32, count // 2)
    return b.call(function(b, name, total, [x.type, x.type]), [x, w])


def add_neighbours(b: Any, total: Any, x: Any, w: Any) -> Any:
    """Add products of neighbours of 16 bits to ``total``, whole numbers or, for float32, bfloat16.

    The latter by ``vdpbf16ps``. With AVX-VNNI the former by ``vpdpwssd``, written out: LLVM would
    make two instructions of it, to wait less for a single sum.
    """
    if total.type.element == I32 and total.type.count == 8 and has("avxvnni"):
        kind = ir.FunctionType(total.type, [total.type, x.type, x.type])
        code = ir.InlineAsm(kind, "{vex} vpdpwssd $3, $2, $0", "=x,0,x,x")
        return b.call(code, [total, x, w])
    if total.type.element == I32:
        return b.add(total, multiply_neighbours(b, x, w))
    pairs = ir.VectorType(I32, total.type.count)
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    operands = [total, b.bitcast(x, pairs), b.bitcast(w, pairs)]
    return b.call(function(b, name, total.type, [one.type for one in operands]), operands)


def across(b: Any, total: Any) -> Any:
    """Sum up a vector of float32, in any order."""
    name = f"llvm.vector.reduce.fadd.v{total.type.count}f32"
    reduce = function(b, name, FLOAT, [FLOAT, total.type])
    return b.call(reduce, [FLOAT(-0.0), total], fastmath=["reassoc"])


def across_whole(b: Any, total: Any) -> Any:
    """Sum up a vector of whole numbers as a float32."""
    return across(b, b.sitofp(total, ir.VectorType(FLOAT, total.type.count)))


@instruction
def bits_of(context: Any, x: Any) -> tuple[Any, Callable[..., Any]]:
    """Return the bits of a float32. Of whole numbers LLVM finds the largest many at a time."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        return b.bitcast(arguments[0], I32)

    return types.int32(types.float32), generate


@instruction
def float_of(context: Any, bits: Any) -> tuple[Any, Callable[..., Any]]:
    """Return the float32 of these bits."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        return b.bitcast(arguments[0], FLOAT)

    return types.float32(types.int32), generate


LINE = 64
"""Bytes of a cache line, and of a register of AVX-512."""


@compiled
def aligned(size: int) -> Array:
    """Return ``size`` bytes that begin with a cache line, as numba's own arrays do not.

    What lies across two lines takes twice as long to load.
    """
    held = np.empty(size + LINE, np.int8)
    first = -held.ctypes.data % LINE
    return held[first : first + size]


@compiled
def bfloat16_bits(bits: np.int32) -> np.int32:
    """Return the bits of the bfloat16 nearest to a float32 of these ``bits``."""
    upper: np.int32 = (bits + np.int32(0x8000)) >> np.int32(16)
    return upper


POWERS_OF_TWO = (1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0)
"""The series of 2^r from r^5 on: 3 millionths at most for |r| <= 1/2."""


@instruction
def power_of_two(context: Any, exponent: Any) -> tuple[Any, Callable[..., Any]]:
    """2 to the power of a whole number from -126 to 127, from the bits of a float32."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        return b.bitcast(b.shl(b.add(arguments[0], I32(127)), I32(23)), FLOAT)

    return types.float32(types.int32), generate
