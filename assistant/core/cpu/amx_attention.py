"""CPU kernel (numba) for the attention of many queries over many keys, by the tiles of AMX.

Queries, keys, weights and values are the sum of two terms of bfloat16, as activations are in
:mod:`assistant.core.cpu.amx`; products of both second terms are left out. A score has a row for its
key and a column for its query, so that a softmax goes down the lanes of registers, and two rows of
its weights are what a row of a tile of the next product wants.

A block of keys meets all queries before the next one comes, with the maximum and the sum of each
query so far: Milakov and Gimelshein (2018), "Online normalizer calculation for softmax". So neither
scores [S, K] nor terms of all keys ever exist.
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
from assistant.core.cpu.compiler import compiled, instruction, on_all_cores
from assistant.core.cpu.llvm import BYTES, FLOAT, I8, I16, I32, I64, Values
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
    release,
)

Array = np.ndarray[Any, Any]

BLOCK = 256
"""Keys that meet all queries before others come."""

WIDE = STEP // 2
"""Numbers of a row of a tile."""

UNSEEN = np.float32(-1e30)
"""Score of a key that a query does not see."""

_LN_2 = np.float32(0.6931471805599453)


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the attention of float32 ``q`` [B, H, S, D] over ``k``, ``v`` [B, H, K, D].

    And the log-sum-exp of its scores [B, H, S]. D is a multiple of WIDE; ``causal`` is aligned to
    the upper left.
    """
    compile_once()
    B, H, S, D = q.shape
    # the numbers of a row are read as neighbours
    q, k, v = (one if one.stride(-1) == 1 else one.contiguous() for one in (q, k, v))
    out, lse = torch.empty(B, S, H, D).transpose(1, 2), torch.empty(B, H, S)
    for arrays in zip(q, k, v, out, lse, strict=True):
        attend_heads(causal, CONFIGURATION, *(one.numpy() for one in arrays))
    return out, lse


@cache
def compile_once() -> None:
    """Compile the kernel for arrays of any strides, so that it need not be for each layout."""
    strided = types.float32[:, :, :]
    more = strided, strided, strided, strided, types.float32[:, ::1]
    attend_heads.compile((types.boolean, types.uint8[::1], *more))  # type: ignore[attr-defined]
    attend_heads.disable_compile()  # type: ignore[attr-defined]


@instruction
def _add_products(
    context: Any, a: Any, row: Any, c: Any, column: Any, steps: Any, count: Any, sums: Any, to: Any,
    right: Any, fresh: Any,
) -> tuple[Any, Callable[..., Any]]:  # fmt: skip
    """Multiply tiles ``row`` and ``row`` + 1 of ``a`` with ``column`` and ``column`` + 1 of ``c``.

    Both are [tiles, steps, 2 terms], of which ``count`` steps are added up. The sums are tiles
    ``to`` of ``sums``, the one below, and those ``right`` tiles further; ``fresh`` ones are zero
    before.
    """

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        a, row, c, column, steps, count, sums, to, right, fresh = llvm.unpacked(
            context, b, signature, arguments
        )
        each = b.mul(steps, I64(2))
        pairs = [
            [_place(b, array, b.mul(b.add(at, I64(n)), each)) for n in range(2)]
            for array, at in ((a, row), (c, column))
        ]
        results = [
            _place(b, sums, b.add(b.add(to, I64(y)), beside))
            for y in range(2)
            for beside in (I64(0), right)
        ]

        # 1) what is added to
        with b.if_else(fresh) as (zero, more):
            with zero:
                for n in range(4):
                    command(b, "tilezero", I8(n))
            with more:
                for n, place in enumerate(results):
                    command(b, "tileloadd64", I8(n), place, I64(STEP))

        # 2) first terms of rows with both of columns, second ones with the first
        def add(k: Any, _: Values) -> Values:
            for side, term in ((0, 0), (1, 1), (1, 0), (0, 1)):
                for n, place in enumerate(pairs[side]):
                    at = b.add(b.mul(k, I64(2 * TILE)), I64(term * TILE))
                    command(b, "tileloadd64", I8(4 + 2 * side + n), b.gep(place, [at]), I64(STEP))
                if (side, term) != (0, 0):
                    for n in range(4):
                        command(b, "tdpbf16ps", I8(n), I8(4 + n // 2), I8(6 + n % 2))
            return []

        llvm.add_up(b, (I64(0), count, I64(1)), [], add)
        for n, place in enumerate(results):
            command(b, "tilestored64", I8(n), place, I64(STEP))
        return context.get_dummy_value()

    n = types.intp
    return types.void(a, n, c, n, n, n, sums, n, n, types.boolean), generate


@instruction
def _split_row(
    context: Any, x: Any, row: Any, tiles: Any, first: Any, at: Any
) -> tuple[Any, Callable[..., Any]]:
    """Write a row of ``x`` [rows, D] as terms to row ``at`` of tiles, from tile ``first`` on."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        x, row, tiles, first, at = llvm.unpacked(context, b, signature, arguments)
        (one,) = llvm.starts_of_rows(b, x, row, 1)
        into = b.gep(_place(b, tiles, first), [b.mul(at, I64(STEP))])
        narrow = ir.VectorType(I16, SIDE)

        def split(d: Any, _: Values) -> Values:
            for half in range(2):
                place = b.gep(one, [b.mul(b.add(d, I64(half * SIDE)), I64(4))])
                for term, bits in enumerate(_terms(b, llvm.load(b, place, VECTOR, 4))):
                    to = b.add(b.mul(d, I64(2 * TILE // WIDE)), I64(term * TILE + half * WIDE))
                    number = b.trunc(b.lshr(bits, _each(SIDE)), narrow)
                    b.store(number, b.bitcast(b.gep(into, [to]), narrow.as_pointer()), align=WIDE)
            return []

        llvm.add_up(b, (I64(0), b.extract_value(x.shape, 1), I64(WIDE)), [], split)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, tiles, n, n), generate


@instruction
def _split_pair(
    context: Any, x: Any, row: Any, tiles: Any, at: Any
) -> tuple[Any, Callable[..., Any]]:
    """Write a row of ``x`` [rows, D] and the next as terms to row ``at`` of tiles [D / SIDE, 2].

    Numbers of the same column are neighbours.
    """

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        x, row, tiles, at = llvm.unpacked(context, b, signature, arguments)
        pair = llvm.starts_of_rows(b, x, row, 2)
        into = b.gep(_place(b, tiles, I64(0)), [b.mul(at, I64(STEP))])

        def split(d: Any, _: Values) -> Values:
            places = [b.gep(one, [b.mul(d, I64(4))]) for one in pair]
            terms = [_terms(b, llvm.load(b, place, VECTOR, 4)) for place in places]
            for term, both in enumerate(zip(*terms, strict=True)):
                to = b.add(b.mul(d, I64(2 * TILE // SIDE)), I64(term * TILE))
                _keep(b, _neighbours(b, *both), b.gep(into, [to]))
            return []

        llvm.add_up(b, (I64(0), b.extract_value(x.shape, 1), I64(SIDE)), [], split)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, tiles, n), generate


@instruction
def _turn(
    context: Any, tiles: Any, number: Any, turned: Any, to: Any
) -> tuple[Any, Callable[..., Any]]:
    """Write a tile to another, columns as rows."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        tiles, number, turned, to = llvm.unpacked(context, b, signature, arguments)
        from_, into = _place(b, tiles, number), _place(b, turned, to)
        rows = [llvm.load(b, b.gep(from_, [I64(i * STEP)]), WHOLE, STEP) for i in range(SIDE)]
        for i, row in enumerate(columns_as_rows(b, rows)):
            _keep(b, row, b.gep(into, [I64(i * STEP)]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(tiles, n, turned, n), generate


@instruction
def _weigh(
    context: Any, scores: Any, first: Any, count: Any, scale: Any, weights: Any, to: Any,
    state: Any, found: Any, high: Any, query: Any,
) -> tuple[Any, Callable[..., Any]]:  # fmt: skip
    """Turn scores of a tile of queries into weights, for ``count`` pairs of keys.

    Scores begin with tile ``first``; times ``scale`` they are powers of two. Terms of weights are
    written from tile ``to`` on. Two rows of a tile of ``state`` are the maximum and the sum of each
    query so far, ``high`` tiles of ``found`` the sum of values: those of tile ``query`` are brought
    up to date, the latter for the new maximum.
    """

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        scores, first, count, scale, weights, to, state, found, high, query = llvm.unpacked(
            context, b, signature, arguments
        )
        score, into, held = (
            _place(b, scores, first),
            _place(b, weights, to),
            _place(b, state, query),
        )
        values = _place(b, found, b.mul(high, query))
        factor = everywhere(b, scale)

        def row(place: Any, number: Any) -> Any:
            return llvm.load(b, b.gep(place, [b.mul(number, I64(STEP))]), VECTOR, STEP)

        # 1) the maximum
        def rise(k: Any, tops: Values) -> Values:
            return [_larger(b, row(score, b.add(k, I64(n))), top) for n, top in enumerate(tops)]

        span = I64(0), b.mul(count, I64(2)), I64(2)
        lowest = [everywhere(b, FLOAT(float(UNSEEN)))] * 2
        tops = llvm.add_up(b, span, [VECTOR] * 2, rise, lowest)
        before = row(held, I64(0))
        top = _larger(b, b.fmul(_larger(b, *tops), factor), before)

        # 2) weights, those of two keys beside each other
        def weigh(k: Any, totals: Values) -> Values:
            pair = []
            for n in range(2):
                power = b.fmul(
                    row(score, b.add(b.mul(k, I64(2)), I64(n))), factor, flags=["contract"]
                )
                pair.append(_two_to_the(b, b.fsub(power, top, flags=["contract"])))
            place = b.add(b.mul(b.udiv(k, I64(SIDE)), I64(2 * SIDE)), b.urem(k, I64(SIDE)))
            terms = [_terms(b, weight) for weight in pair]
            for term, both in enumerate(zip(*terms, strict=True)):
                at = b.mul(b.add(place, I64(term * SIDE)), I64(STEP))
                _keep(b, _neighbours(b, *both), b.gep(into, [at]))
            return [b.fadd(total, weight) for total, weight in zip(totals, pair, strict=True)]

        totals = llvm.add_up(b, (I64(0), count, I64(1)), [VECTOR] * 2, weigh)

        # 3) what there was counts less, by the rise of the maximum
        less = _two_to_the(b, b.fsub(before, top))
        total = b.fadd(b.fmul(row(held, I64(1)), less), b.fadd(*totals))
        _keep(b, top, held)
        _keep(b, total, b.gep(held, [I64(STEP)]))

        def lessen(d: Any, _: Values) -> Values:
            _keep(b, b.fmul(row(values, d), less), b.gep(values, [b.mul(d, I64(STEP))]))
            return []

        llvm.add_up(b, (I64(0), b.mul(high, I64(SIDE)), I64(1)), [], lessen)
        return context.get_dummy_value()

    n = types.intp
    return types.void(scores, n, n, scale, weights, n, state, found, n, n), generate


def _place(b: Any, tiles: Any, number: Any) -> Any:
    """Return the address of one of ``tiles``, an array of nothing else."""
    return b.gep(b.bitcast(tiles.data, BYTES), [b.mul(number, I64(TILE))])


def _keep(b: Any, row: Any, place: Any) -> None:
    b.store(row, b.bitcast(place, row.type.as_pointer()), align=STEP)


def _each(number: int) -> Any:
    return ir.Constant(WHOLE, [number] * SIDE)


def _larger(b: Any, x: Any, y: Any) -> Any:
    return b.select(b.fcmp_ordered(">", x, y), x, y)


def _terms(b: Any, x: Any) -> Values:
    """Return both terms of a vector: the bits of float32, the lower half of which is zero."""

    def rounded(x: Any) -> Any:
        return b.and_(b.add(b.bitcast(x, WHOLE), _each(0x8000)), _each(-0x10000))

    first = rounded(x)
    return [first, rounded(b.fsub(x, b.bitcast(first, VECTOR)))]


def _neighbours(b: Any, x: Any, y: Any) -> Any:
    """Return terms of ``x`` and ``y`` in the halves of one word, those of ``x`` first."""
    return b.or_(b.lshr(x, _each(SIDE)), y)


def _two_to_the(b: Any, x: Any) -> Any:
    """Return 2 to the power of each number of a vector, to 3 millionths of it."""
    n = b.call(llvm.function(b, "llvm.rint.v16f32", VECTOR, [VECTOR]), [x])
    r = b.fsub(x, n)
    e = everywhere(b, FLOAT(llvm.POWERS_OF_TWO[0]))
    for factor in llvm.POWERS_OF_TWO[1:]:
        e = b.fadd(
            b.fmul(e, r, flags=["contract"]), everywhere(b, FLOAT(factor)), flags=["contract"]
        )
    kinds = [VECTOR, VECTOR, VECTOR, I16, I32]
    scale = llvm.function(b, "llvm.x86.avx512.mask.scalef.ps.512", VECTOR, kinds)
    return b.call(scale, [e, n, e, I16(-1), I32(4)])


@compiled
def _tiles(count: int) -> Array:
    """Return room for ``count`` tiles, which begin with a cache line."""
    return llvm.aligned(count * TILE).view(np.float32)


@compiled
def _lay_out_queries(q: Array, first: int, steps: int, held: Array, queries: Array) -> None:
    """Write SIDE rows of ``q`` [S, D] from ``first`` on as terms, a column for each.

    Columns beyond the last row are zero.
    """
    rows = min(SIDE, len(q) - first)
    if rows < SIDE:
        for i in range(len(held)):
            held[i] = 0
    for s in range(rows):
        _split_row(q, first + s, held, 0, s)
    for n in range(2 * steps):
        _turn(held, n, queries, first // SIDE * 2 * steps + n)


@compiled
def _lay_out_keys(k: Array, first: int, steps: int, step: int, keys: Array) -> None:
    """Write WIDE rows of ``k`` [K, D] from ``first`` on as terms, a row for each, to two tiles."""
    for s in range(WIDE):
        _split_row(k, first + s, keys, (2 * step + s // SIDE) * 2 * steps, s % SIDE)


@compiled
def _lay_out_values(v: Array, first: int, high: int, step: int, held: Array, values: Array) -> None:
    """Write WIDE rows of ``v`` [K, D] as terms, a column for each, to a step of ``high`` tiles."""
    for s in range(SIDE):
        _split_pair(v, first + 2 * s, held, s)
    for n in range(2 * high):
        _turn(held, n, values, (n // 2 * (BLOCK // WIDE) + step) * 2 + n % 2)


@compiled
def _last_rows(x: Array, first: int, rows: Array) -> None:
    """Copy the rows of ``x`` [K, D] from ``first`` on; ``rows`` [WIDE, D] beyond them stay zero."""
    for s in range(len(x) - first):
        for d in range(x.shape[1]):
            rows[s, d] = x[first + s, d]


@compiled
def _hide(scores: Array, start: int, count: int, first: int, keys: int, causal: bool) -> None:
    """Hide what two tiles of queries from ``first`` on don't see of ``keys`` from ``start`` on.

    That is those beyond ``count``, and where it is ``causal`` those after a query.
    """
    for j in range(2):
        query = first + j * SIDE - start
        for at in range(min(count, max(query + 1, 0)) if causal else count, keys):
            for i in range(SIDE):
                if at >= count or at > query + i:
                    scores[(j * BLOCK + at) * SIDE + i] = UNSEEN


@compiled
def _write(
    found: Array, state: Array, tile: int, high: int, turned: Array, out: Array, lse: Array
) -> None:
    """Write a tile of queries' ``out`` [S, D] and ``lse`` [S]: divided by their sums of weights."""
    first = tile * SIDE
    rows = min(SIDE, len(out) - first)
    for part in range(high):
        _turn(found, tile * high + part, turned, 0)
        for s in range(rows):
            share = np.float32(1) / state[(first + 1) * SIDE + s]
            for i in range(SIDE):
                out[first + s, part * SIDE + i] = turned[s * SIDE + i] * share
    for s in range(rows):
        total = state[(first + 1) * SIDE + s]
        lse[first + s] = state[first * SIDE + s] * _LN_2 + np.log(total)


@compiled
def _attend_head(
    causal: bool, configuration: Array, q: Array, k: Array, v: Array, out: Array, lse: Array
) -> None:
    S, D = q.shape
    K = len(k)
    pairs, right = (S + 2 * SIDE - 1) // (2 * SIDE), BLOCK // SIDE
    steps, high = D // WIDE, D // SIDE
    scale = np.float32(1.4426950408889634 / np.sqrt(np.float64(D)))  # powers of two, not of e
    queries, found, state = _tiles(4 * pairs * steps), _tiles(2 * pairs * high), _tiles(2 * pairs)
    keys, values = _tiles(2 * right * steps), _tiles(right * high)
    scores, weights = _tiles(2 * right), _tiles(2 * right)
    held, turned, last = _tiles(2 * high), _tiles(1), np.zeros((WIDE, D), np.float32)
    for i in range(len(found)):
        found[i] = 0
    for tile in range(2 * pairs):
        for i in range(SIDE):
            state[tile * SIDE * SIDE + i] = UNSEEN
            state[(tile * SIDE + 1) * SIDE + i] = 0
        # 1) queries
        _lay_out_queries(q, tile * SIDE, steps, held, queries)
    configure(configuration)
    for start in range(0, K, BLOCK):
        # 2) a block of keys and values; what is beyond the last is zero
        count = min(BLOCK, K - start)
        filled = (count + WIDE - 1) // WIDE
        for step in range(filled):
            at = start + step * WIDE
            if at + WIDE > K:
                _last_rows(k, at, last)
                _lay_out_keys(last, 0, steps, step, keys)
                _last_rows(v, at, last)
                _lay_out_values(last, 0, high, step, held, values)
            else:
                _lay_out_keys(k, at, steps, step, keys)
                _lay_out_values(v, at, high, step, held, values)
        # 3) scores, weights and sums of values, of two tiles of queries
        for pair in range(start // (2 * SIDE) if causal else 0, pairs):
            first = pair * 2 * SIDE
            seen = min(filled, (first - start) // WIDE + 1) if causal else filled
            for tile in range(0, 2 * seen, 2):
                _add_products(
                    keys, tile, queries, 2 * pair, steps, steps, scores, tile, right, True
                )
            _hide(scores, start, count, first, seen * WIDE, causal)
            for j in range(2):
                _weigh(
                    scores, j * right, seen * SIDE, scale, weights, j * right, state, found, high,
                    2 * pair + j,
                )  # fmt: skip
            for tile in range(0, high, 2):
                to = 2 * pair * high + tile
                _add_products(values, tile, weights, 0, right // 2, seen, found, to, high, False)
    release()
    for tile in range((S + SIDE - 1) // SIDE):
        _write(found, state, tile, high, turned, out, lse)


@on_all_cores
def attend_heads(
    causal: bool, configuration: Array, q: Array, k: Array, v: Array, out: Array, lse: Array
) -> None:
    """Compute :func:`attend` of ``q`` [H, S, D]: ``out`` [H, S, D] and ``lse`` [H, S]."""
    for h in prange(len(q)):
        _attend_head(causal, configuration, q[h], k[h], v[h], out[h], lse[h])
