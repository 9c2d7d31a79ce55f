"""CPU kernel (numba) for matrices of bfloat16 and int8 and many rows, by the tiles of AMX.

A number of an activation is the sum of two terms. With bfloat16 they are its first eight bits and
the next eight, so that results are 2e-6 apart from exact ones where those of float32 are 4e-7, and
both terms' products meet in one sum. With int8 they are those of
:func:`assistant.core.weights.split`, whose products have a sum each and are exact.

Tiles are loaded fast from the first cache only. So a few steps of a matrix are laid out at once,
and what the same steps of activations is meets all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import prange, types

from assistant.core.cpu import llvm, whole_steps
from assistant.core.cpu.compiler import instruction, on_all_cores
from assistant.core.cpu.llvm import BYTES, FLOAT, I8, I64, Values
from assistant.core.cpu.tiles import (
    CONFIGURATION,
    SIDE,
    STEP,
    TILE,
    VECTOR,
    WHOLE,
    columns_as_rows,
    command,
    configure,
    everywhere,
    is_here,
    release,
)
from assistant.core.scratch import Scratch

Array = np.ndarray[Any, Any]

TOGETHER = 2 * SIDE
"""Rows of the matrix that meet activations at once."""

CHUNK = 8
"""Steps of a matrix that are laid out at once: 16 KiB of activations, which stay in the first cache
while they meet a block of it."""

BLOCK, SMALL_BLOCK, FEW = 256, 64, 64
"""Rows of a matrix that one thread lays out at once, and how many for up to FEW activations."""

PIECE = 512
"""Activations that meet the matrix at once, so that their sums and terms stay small."""

_terms, _words = Scratch(), Scratch()


def can_multiply(matrix: torch.Tensor) -> bool:
    """Whether tiles are here, and ``matrix`` [N, K] has a shape and a format that they hold."""
    rows, columns = matrix.shape
    return (
        matrix.dtype in (torch.bfloat16, torch.int8)
        and rows % TOGETHER == 0
        and columns * matrix.itemsize % STEP == 0
        and is_here()
    )


def multiply(
    matrix: torch.Tensor, scales: torch.Tensor | None, rows: torch.Tensor, out: torch.Tensor
) -> None:
    """``out`` [S, N] = float32 ``rows`` [S, K] times ``matrix`` [N, K] of bfloat16 or int8.

    The latter times ``scales`` [N].
    """
    seen = matrix.detach().view(torch.int16 if scales is None else torch.int8).numpy()
    of_rows = np.empty(0, np.float32) if scales is None else scales.numpy()
    pieces = -(-len(rows) // PIECE)
    parts = zip(rows.contiguous().tensor_split(pieces), out.tensor_split(pieces), strict=True)
    for numbers, into in parts:
        words, steps = _laid_out(numbers, matrix.itemsize)
        size = SMALL_BLOCK if len(numbers) <= FEW else BLOCK
        multiply_tiles(seen, of_rows, words, steps, CONFIGURATION, size, into.numpy())


def _laid_out(rows: torch.Tensor, width: int) -> tuple[Array, Array]:
    """Return ``rows`` [S, K] as terms of ``width`` bytes in tiles, and the size of their steps."""
    S, K = rows.shape
    steps, columns = np.ones(S, np.float32), K * width // 4
    terms = _terms.tensor(2, S, columns).numpy()
    if width == 1:
        whole_steps.split(rows.numpy(), terms.view(np.int8), steps)
    else:
        split(rows.view(torch.int32).numpy(), terms.view(np.int16))
    panels = -(-S // (SIDE * width)) * width
    words = _words.tensor(panels, columns // SIDE, 2, SIDE, SIDE).numpy().view(np.int32)
    spread(terms.view(np.int32), words)
    return words, steps


@instruction
def _lay_out(
    context: Any, matrix: Any, first: Any, start: Any, count: Any, tiles: Any, at: Any
) -> tuple[Any, Callable[..., Any]]:
    """Copy TOGETHER rows of the matrix from ``first`` on to pairs of tiles from ``at`` on.

    Of each row ``count`` steps from ``start`` on.
    """

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        w, first, start, count, tiles, at = llvm.unpacked(context, b, signature, arguments)
        rows = llvm.starts_of_rows(b, w, first, TOGETHER)
        pair = b.gep(b.bitcast(tiles.data, BYTES), [b.mul(at, I64(2 * TILE))])

        def copy(k: Any, _: Values) -> Values:
            into = b.gep(pair, [b.mul(k, I64(2 * TILE))])
            for i, one in enumerate(rows):
                from_ = b.gep(one, [b.mul(b.add(start, k), I64(STEP))])
                place = b.gep(into, [I64(i * STEP)])
                b.store(
                    llvm.load(b, from_, WHOLE), b.bitcast(place, WHOLE.as_pointer()), align=STEP
                )
            return []

        llvm.add_up(b, (I64(0), count, I64(1)), [], copy)
        return context.get_dummy_value()

    n = types.intp
    return types.void(matrix, n, n, n, tiles, n), generate


@instruction
def _add_products(
    context: Any, matrix: Any, tiles: Any, at: Any, words: Any, panel: Any, start: Any,
    count: Any, sums: Any, to: Any,
) -> tuple[Any, Callable[..., Any]]:  # fmt: skip
    """Multiply ``count`` pairs of tiles, from ``at`` on, with a panel of activations.

    From its step ``start`` on. The products are added to the four tiles ``to`` of ``sums``, or to
    nothing where ``start`` is 0. Of bfloat16 (``matrix`` has 16 bits) those of both terms meet in a
    sum, and two panels of 16 rows meet the pair; of int8 a panel has sums for each term.
    """
    shared = matrix.dtype == types.int16
    name = "tdpbf16ps" if shared else "tdpbssd"

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        _, tiles, at, words, panel, start, count, sums, to = llvm.unpacked(
            context, b, signature, arguments
        )
        steps = b.extract_value(words.shape, 1)

        def tile(array: Any, number: Any, each: int, i: int) -> list[Any]:
            offset = b.add(b.mul(number, I64(each * TILE)), I64(i * TILE))
            return [b.gep(b.bitcast(array.data, BYTES), [offset]), I64(STEP)]

        # 1) what is added to
        with b.if_else(b.icmp_signed("!=", start, I64(0))) as (some, none):
            with some:
                for i in range(4):
                    command(b, "tileloadd64", I8(i), *tile(sums, to, 4, i))
            with none:
                for i in range(4):
                    command(b, "tilezero", I8(i))

        # 2) products of one step of each row: first those of the first tile of the matrix
        def add(k: Any, _: Values) -> Values:
            for i in range(2):
                command(b, "tileloadd64", I8(4 + i), *tile(tiles, b.add(at, k), 2, i))
            for part, term in ((0, 0), (1, 0), (0, 1), (1, 1)) if shared else ((0, 0), (0, 1)):
                first = b.mul(b.add(panel, I64(part)), steps)
                activations, held = b.add(b.add(first, start), k), part if shared else term
                command(b, "tileloadd64", I8(6 + held), *tile(words, activations, 2, term))
                for i in range(2):
                    command(b, name, I8(2 * held + i), I8(4 + i), I8(6 + held))
            return []

        llvm.add_up(b, (I64(0), count, I64(1)), [], add)
        for i in range(4):
            command(b, "tilestored64", I8(i), *tile(sums, to, 4, i))
        return context.get_dummy_value()

    n = types.intp
    return types.void(matrix, tiles, n, words, n, n, n, sums, n), generate


@instruction
def _turn(
    context: Any, matrix: Any, sums: Any, number: Any, scales: Any, row: Any, turned: Any
) -> tuple[Any, Callable[..., Any]]:
    """Write a tile of ``sums`` to ``turned`` [SIDE, SIDE], columns as rows.

    ``number`` is the tile's. Of int8 256 times its sums and those two tiles after it are one
    number, times the scale of the matrix's ``row`` or one of the 15 after it.
    """
    shared = matrix.dtype == types.int16

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        _, sums, number, scales, row, turned = llvm.unpacked(context, b, signature, arguments)
        start = b.gep(b.bitcast(sums.data, BYTES), [b.mul(number, I64(TILE))])

        # 1) rows of the tile
        def read(i: int) -> Any:
            place = b.gep(start, [I64(i * STEP)])
            if shared:
                return llvm.load(b, place, VECTOR, STEP)
            upper, lower = (
                b.sitofp(llvm.load(b, b.gep(place, [I64(term * 2 * TILE)]), WHOLE, STEP), VECTOR)
                for term in range(2)
            )
            scale = llvm.load(b, b.gep(scales.data, [b.add(row, I64(i))]), FLOAT, 4)
            total = b.fadd(b.fmul(upper, everywhere(b, FLOAT(256))), lower, flags=["contract"])
            return b.fmul(total, everywhere(b, scale))

        rows = [read(i) for i in range(SIDE)]

        # 2) its columns
        into = b.bitcast(turned.data, VECTOR.as_pointer())
        for i, one in enumerate(columns_as_rows(b, rows)):
            b.store(one, b.gep(into, [I64(i)]), align=4)
        return context.get_dummy_value()

    n = types.intp
    return types.void(matrix, sums, n, scales, n, turned), generate


@on_all_cores
def split(bits: Array, terms: Array) -> None:
    """Write rows [S, K], seen as ``bits`` of float32, as two terms of bfloat16 [2, S, K]."""
    for s in prange(len(bits)):
        for i in range(bits.shape[1]):
            number = bits[s, i]
            upper = llvm.bfloat16_bits(number)
            rest = llvm.float_of(number) - llvm.float_of(upper << np.int32(16))
            terms[0, s, i] = upper
            terms[1, s, i] = llvm.bfloat16_bits(llvm.bits_of(rest))


@on_all_cores
def spread(terms: Array, words: Array) -> None:
    """Lay out both terms of activations, seen as ``terms`` [2, S, words], in tiles.

    ``words`` [S / SIDE, steps, 2, SIDE, SIDE] are of four bytes: of a tile a column is a row.
    """
    S = terms.shape[1]
    for panel in prange(len(words)):
        for step in range(words.shape[1]):
            for term in range(2):
                into = words[panel, step, term]
                for s in range(min(SIDE, S - panel * SIDE)):
                    for i in range(SIDE):
                        into[i, s] = terms[term, panel * SIDE + s, step * SIDE + i]


@on_all_cores
def multiply_tiles(
    matrix: Array, scales: Array, words: Array, steps: Array, configuration: Array, size: int,
    out: Array,
) -> None:  # fmt: skip
    """``out`` [S, N] = the rows of ``words`` times ``matrix`` [N, K], ``size`` rows a block.

    A row of it is multiplied by its number of ``steps`` [S], and for int8 by ``scales`` [N].
    """
    S, N = out.shape
    width = matrix.itemsize  # panels of 16 rows that meet the matrix at once
    together = len(words) // width
    for block in prange((N + size - 1) // size):
        first = block * size
        parts = min(size, N - first) // TOGETHER
        tiles = llvm.aligned(parts * CHUNK * 2 * TILE)
        sums = llvm.aligned(together * parts * 4 * TILE)
        turned = np.empty((SIDE, SIDE), np.float32)
        configure(configuration)
        for k in range(0, words.shape[1], CHUNK):
            count = min(CHUNK, words.shape[1] - k)
            for part in range(parts):
                _lay_out(matrix, first + part * TOGETHER, k, count, tiles, part * CHUNK)
            for panel in range(together):
                for part in range(parts):
                    to = panel * parts + part
                    _add_products(
                        matrix, tiles, part * CHUNK, words, panel * width, k, count, sums, to
                    )
        release()
        for panel in range(len(words)):
            for half in range(2 * parts):
                number = 4 * (panel // width * parts + half // 2) + half % 2
                n = first + half * SIDE
                _turn(matrix, sums, number + panel % width * 2, scales, n, turned)
                for s in range(min(SIDE, S - panel * SIDE)):
                    row = panel * SIDE + s
                    for i in range(SIDE):
                        out[row, n + i] = turned[s, i] * steps[row]
