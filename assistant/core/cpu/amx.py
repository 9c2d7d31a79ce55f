"""CPU kernel (numba) for bfloat16 matrices and many rows, by the tiles of AMX.

A tile has 16 rows of 64 bytes; an instruction multiplies two tiles of bfloat16 and adds the
products to a third of float32. A number of an activation is the sum of two such numbers, its first
eight bits and the next eight, so that results are 2e-6 apart from exact ones where those of float32
are 4e-7.

Loading a tile takes as long as multiplying two, so that the products of each tile that is loaded
are what counts: eight for six here, two tiles of the matrix and two of each term of activations.
More would not fit, because four of the eight tiles hold sums.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import prange, types

from assistant.core.cpu import llvm
from assistant.core.cpu.compiler import compiled, has, instruction, on_all_cores
from assistant.core.cpu.llvm import BYTES, I8, I16, I64, Values

Array = np.ndarray[Any, Any]

SIDE, DEPTH = 16, 32
"""Rows of a tile, and numbers of 16 bits in each."""

TOGETHER = 2 * SIDE
"""Rows of the matrix, and rows of activations, that meet in tiles."""

LONGEST = 3072
"""Numbers of a row of the matrix that are laid out in tiles at once, for the second cache."""

BLOCK, SMALL_BLOCK, FEW = 128, 64, 64
"""Rows of a matrix that one thread lays out at once, and how many for up to FEW activations:
512 rows 56 ms and 63 with the smaller, 20 rows 6.2 and 4.6 (3072 -> 8192)."""

_TILE = SIDE * DEPTH * 2
"""Bytes of a tile."""

_CONFIGURATION = np.zeros(64, np.uint8)
"""Palette 1, then for each of eight tiles the bytes of a row, and its rows."""
_CONFIGURATION[0] = 1
_CONFIGURATION[16:32:2] = 2 * DEPTH
_CONFIGURATION[48:56] = SIDE


@cache
def is_here() -> bool:
    """Whether the processor has the instructions, and the system lets this process use them."""
    return has("amx-bf16") and has("amx-tile") and torch.cpu._init_amx()


def can_multiply(rows: int, columns: int) -> bool:
    """Whether tiles are here, and a matrix [rows, columns] has a shape that they hold."""
    return is_here() and rows % TOGETHER == 0 and columns % DEPTH == 0


def multiply(matrix: torch.Tensor, rows: torch.Tensor, out: torch.Tensor) -> None:
    """``out`` [S, N] = float32 ``rows`` [S, K] times a bfloat16 ``matrix`` [N, K]."""
    S, K = rows.shape
    terms = np.empty((-(-S // TOGETHER), K // DEPTH, 2, 2, SIDE, SIDE, 2), np.int16)
    split(rows.contiguous().view(torch.int32).numpy(), terms)
    seen = matrix.detach().view(torch.int16).numpy()
    multiply_tiles(seen, terms, _CONFIGURATION, SMALL_BLOCK if S <= FEW else BLOCK, out.numpy())


def _amx(b: Any, name: str, *operands: Any) -> None:
    """Write an instruction; a tile is named by a constant."""
    kinds = [one.type for one in operands]
    b.call(llvm.function(b, f"llvm.x86.{name}", ir.VoidType(), kinds), operands)


@instruction
def _configure(context: Any, configuration: Any) -> tuple[Any, Callable[..., Any]]:
    """Begin to use the tiles of the processor that this thread runs on."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        (held,) = llvm.unpacked(context, b, signature, arguments)
        _amx(b, "ldtilecfg", b.bitcast(held.data, BYTES))
        return context.get_dummy_value()

    return types.void(configuration), generate


@instruction
def _release(context: Any) -> tuple[Any, Callable[..., Any]]:
    """Give the tiles back, so that the system need not keep them for this thread."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        _amx(b, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


@instruction
def _lay_out(
    context: Any, matrix: Any, first: Any, start: Any, end: Any, tiles: Any, at: Any
) -> tuple[Any, Callable[..., Any]]:
    """Copy TOGETHER rows of the matrix from ``first`` on to pairs of tiles from ``at`` on.

    Of each row the numbers from ``start`` to ``end``.
    """

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        w, first, start, end, tiles, at = llvm.unpacked(context, b, signature, arguments)
        row = ir.VectorType(I16, DEPTH)
        rows = llvm.starts_of_rows(b, w, first, TOGETHER)
        pair = b.gep(b.bitcast(tiles.data, BYTES), [b.mul(at, I64(2 * _TILE))])

        def copy(k: Any, _: Values) -> Values:
            offset = b.mul(b.sub(k, start), I64(2 * _TILE // DEPTH))
            for i, one in enumerate(rows):
                numbers = llvm.load(b, b.gep(one, [b.mul(k, I64(2))]), row, 2)
                into = b.gep(pair, [b.add(offset, I64(i * _TILE // SIDE))])
                b.store(numbers, b.bitcast(into, row.as_pointer()), align=2)
            return []

        llvm.add_up(b, (start, end, I64(DEPTH)), [], copy)
        return context.get_dummy_value()

    n = types.intp
    return types.void(matrix, n, n, n, tiles, n), generate


@instruction
def _add_products(
    context: Any, tiles: Any, at: Any, terms: Any, start: Any, count: Any, sums: Any, to: Any,
    follows: Any,
) -> tuple[Any, Callable[..., Any]]:  # fmt: skip
    """Multiply ``count`` pairs of tiles of the matrix with the fours of both terms.

    From the pair ``at`` and the four ``start`` on. The products are added to the four tiles ``to``
    of ``sums``, or to nothing where ``follows`` is 0.
    """

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        tiles, at, terms, start, count, sums, to, follows = llvm.unpacked(
            context, b, signature, arguments
        )

        def tile(array: Any, number: Any, each: int, i: int) -> list[Any]:
            offset = b.add(b.mul(number, I64(each * _TILE)), I64(i * _TILE))
            return [b.gep(b.bitcast(array.data, BYTES), [offset]), I64(_TILE // SIDE)]

        # 1) what is added to
        with b.if_else(b.icmp_signed("!=", follows, I64(0))) as (some, none):
            with some:
                for i in range(4):
                    _amx(b, "tileloadd64", I8(i), *tile(sums, to, 4, i))
            with none:
                for i in range(4):
                    _amx(b, "tilezero", I8(i))

        # 2) products of DEPTH numbers of each row
        def add(k: Any, _: Values) -> Values:
            for i in range(2):
                _amx(b, "tileloadd64", I8(4 + i), *tile(tiles, b.add(at, k), 2, i))
            for term in range(2):
                for j in range(2):
                    place = tile(terms, b.add(start, k), 4, 2 * term + j)
                    _amx(b, "tileloadd64", I8(6 + j), *place)
                    for i in range(2):
                        _amx(b, "tdpbf16ps", I8(2 * j + i), I8(4 + i), I8(6 + j))
            return []

        llvm.add_up(b, (I64(0), count, I64(1)), [], add)
        for i in range(4):
            _amx(b, "tilestored64", I8(i), *tile(sums, to, 4, i))
        return context.get_dummy_value()

    n = types.intp
    return types.void(tiles, n, terms, n, n, sums, n, n), generate


@compiled
def _rounded(bits: np.int32) -> np.int32:
    """Return the bits of the bfloat16 nearest to a float32 of these ``bits``."""
    upper: np.int32 = (bits + np.int32(0x8000)) >> np.int32(16)
    return upper


@on_all_cores
def split(bits: Array, terms: Array) -> None:
    """Lay out rows [S, K], seen as ``bits`` of float32, as two terms of bfloat16 in tiles.

    ``terms`` [S / TOGETHER, K / DEPTH, 2, 2, SIDE, SIDE, 2] are by term, then by 16 rows, then by
    two neighbours of a row.
    """
    S, K = bits.shape
    for panel in prange(len(terms)):
        for s in range(panel * TOGETHER, min(S, panel * TOGETHER + TOGETHER)):
            part, row = s % TOGETHER // SIDE, s % SIDE
            for k in range(0, K, DEPTH):
                into = terms[panel, k // DEPTH, :, part, :, row]
                for i in range(DEPTH):
                    number = bits[s, k + i]
                    upper = _rounded(number)
                    rest = llvm.float_of(number) - llvm.float_of(upper << np.int32(16))
                    into[0, i // 2, i % 2] = upper
                    into[1, i // 2, i % 2] = _rounded(llvm.bits_of(rest))


@on_all_cores
def multiply_tiles(
    matrix: Array, terms: Array, configuration: Array, size: int, out: Array
) -> None:
    """``out`` [S, N] = the rows of ``terms`` times ``matrix`` [N, K], ``size`` rows a block."""
    S, N, K = len(out), len(matrix), matrix.shape[1]
    for block in prange((N + size - 1) // size):
        first = block * size
        parts = min(size, N - first) // TOGETHER
        tiles = np.empty((parts, LONGEST // DEPTH, 2, SIDE, DEPTH), np.int16)
        sums = np.empty((len(terms), parts, 2, 2, SIDE, SIDE), np.float32)
        _configure(configuration)
        for k in range(0, K, LONGEST):
            end = min(k + LONGEST, K)
            for part in range(parts):
                _lay_out(matrix, first + part * TOGETHER, k, end, tiles, part * LONGEST // DEPTH)
            for panel in range(len(terms)):
                start = (panel * K + k) // DEPTH
                for part in range(parts):
                    at, to = part * LONGEST // DEPTH, panel * parts + part
                    _add_products(tiles, at, terms, start, (end - k) // DEPTH, sums, to, k)
        _release()
        for s in range(S):
            found = sums[s // TOGETHER, :, s % TOGETHER // SIDE, :, :, s % SIDE]
            for n in range(parts * TOGETHER):
                out[s, first + n] = found[n // TOGETHER, n % TOGETHER // SIDE, n % SIDE]
