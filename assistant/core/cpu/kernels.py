"""CPU kernels (numba) for decoding one token.

Decoding is memory-bound, so each weight is read once, as fast as memory delivers.

numba compiles these for the processor they run on, when they are first used, and keeps the result
beside this file, or in the user's cache folder where that can't be written.
``gate_rows`` and ``rotate_rows`` are for many rows: the passes over activations between the
products of a prefill.

A matrix [N, K] is float32, float16, bfloat16 (seen as uint16) or int8 with a scale for each of its
rows; other formats have no scales, an array of none. A row of activations is float32 and stays so:
only the matrix is narrow. With int8 it is rounded to the 16 bits that a prefill gives it, so that
both compute the same. :func:`can_multiply` tells the shapes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import config, prange, set_num_threads

from assistant.core.cpu.compiler import compiled, on_all_cores
from assistant.core.cpu.dots import LANES, ROWS, dots, is_laid_out, lay_out
from assistant.core.cpu.llvm import LINE, aligned, power_of_two

TILE = 4096
"""Positions of which attention weights stay in the nearest cache, and values in the next, until
they are used."""

Array = np.ndarray[Any, Any]


class LayerArrays(NamedTuple):
    """The weights of one decoder layer; norms are float32."""

    input_norm: Array
    qkv: Array
    qkv_scales: Array
    o: Array
    o_scales: Array
    post_norm: Array
    gate_up: Array
    gate_up_scales: Array
    down: Array
    down_scales: Array


def use_threads(count: int) -> None:
    """Run on ``count`` threads, when called from the one that calls this."""
    set_num_threads(min(count, config.NUMBA_NUM_THREADS))


def can_multiply(rows: int, columns: int, itemsize: int) -> bool:
    """Whether a matrix [rows, columns] has the shape that these kernels read."""
    return rows >= ROWS and columns * itemsize % LINE == 0


def can_attend(head_dim: int) -> bool:
    """Whether heads are as wide as :func:`attend` takes them."""
    return head_dim >= ROWS and head_dim % 4 == 0


@compiled
def _room(rows: int, columns: int) -> Array:
    """Return an array [rows, columns] of float32 that begins with a cache line."""
    return aligned(4 * rows * columns).view(np.float32).reshape(rows, columns)


@on_all_cores
def multiply(matrix: Array, scales: Array, rows: Array, out: Array) -> None:
    """``out`` [S, N] = ``rows`` [S, K] times ``matrix`` [N, K], for few rows: read once for all."""
    S, N, whole = len(rows), len(matrix), len(scales) > 0
    x, steps = rows, np.ones(S, np.float32)
    if is_laid_out(matrix):
        x = _room(S, 2 * rows.shape[1])
        for s in range(S):
            steps[s] = lay_out(matrix, rows[s], x[s])
    for block in prange((N + ROWS - 1) // ROWS):
        first = min(block * ROWS, N - ROWS)
        for s in range(S):
            sums = dots(matrix, first, x[s])
            for i in range(ROWS):
                out[s, first + i] = sums[i] * scales[first + i] * steps[s] if whole else sums[i]


@compiled
def _product(matrix: Array, scales: Array, x: Array) -> Array:
    out = np.empty((1, len(matrix)), np.float32)
    multiply(matrix, scales, x.reshape(1, -1), out)
    product: Array = out[0]
    return product


@compiled
def _exp(x: np.float32) -> np.float32:
    """Return e to the power of ``x`` <= 0, to one unit in the last place.

    Without branches, so that LLVM vectorizes loops over it, as it does not over numba's own.
    x = n ln 2 + r; the series of e^r to the 7th power of |r| <= ln 2 / 2. Below e^-87 is e^-87.
    """
    x = max(x, np.float32(-87))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693359375) - n * np.float32(-2.12194440e-4)  # ln 2 in two parts
    e = np.float32(1 / 5040)
    e = e * r + np.float32(1 / 720)
    e = e * r + np.float32(1 / 120)
    e = e * r + np.float32(1 / 24)
    e = e * r + np.float32(1 / 6)
    e = e * r + np.float32(0.5)
    e = e * r + np.float32(1)
    e = e * r + np.float32(1)
    scaled: np.float32 = e * power_of_two(np.int32(n))
    return scaled


@compiled
def _silu(x: np.float32) -> np.float32:
    """Return ``x`` times the logistic function of ``x``."""
    e = _exp(-abs(x))
    share = (np.float32(1) if x >= 0 else e) / (np.float32(1) + e)
    return x * share


@compiled
def normed(x: Array, weight: Array, eps: np.float32) -> Array:
    """Phi3RMSNorm of ``x`` [hidden]."""
    squares = np.float32(0)
    for i in range(len(x)):
        squares += x[i] * x[i]
    scale = np.float32(1 / np.sqrt(squares / np.float32(len(x)) + eps))
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = x[i] * scale * weight[i]
    return out


@compiled
def _rotate(x: Array, cos: Array, sin: Array, out: Array) -> None:
    """``out`` = the head ``x`` [D], turned; the first half of the sines is negated."""
    half = len(x) // 2
    low, high = x[:half], x[half:]
    low_out, low_cos, low_sin = out[:half], cos[:half], sin[:half]
    high_out, high_cos, high_sin = out[half:], cos[half:], sin[half:]
    for i in range(half):
        low_out[i] = low[i] * low_cos[i] + high[i] * low_sin[i]
    for i in range(half):
        high_out[i] = high[i] * high_cos[i] + low[i] * high_sin[i]


@compiled
def until_attention(
    layer: LayerArrays, hidden: Array, eps: np.float32, cos: Array, sin: Array
) -> Array:
    """Return queries, keys (both rotated) and values [3 H D] of the token ``hidden``.

    ``cos``, ``sin`` [D] have the first half of the sines negated.
    """
    qkv = _product(layer.qkv, layer.qkv_scales, normed(hidden, layer.input_norm, eps))
    D = len(cos)
    turned = np.empty_like(cos)
    for start in range(0, len(qkv) // 3 * 2, D):
        row = qkv[start : start + D]
        _rotate(row, cos, sin, turned)
        row[:] = turned
    return qkv


@compiled
def _attend_head(
    q: Array, key: Array, value: Array, keys: Array, values: Array, length: int, out: Array
) -> None:
    D, used = len(q), length + 1
    keys[:, length] = key
    values[:, length] = value
    weights = np.zeros(used, np.float32)
    scaling = np.float32(1 / np.sqrt(D))
    for start in range(0, used, TILE):
        tile, end = weights[start : start + TILE], min(start + TILE, used)
        for d in range(0, D, 4):  # four at a time: the weights are read and written less often
            q0, q1, q2, q3 = (
                q[d] * scaling,
                q[d + 1] * scaling,
                q[d + 2] * scaling,
                q[d + 3] * scaling,
            )
            k0, k1, k2, k3 = keys[d], keys[d + 1], keys[d + 2], keys[d + 3]
            k0, k1, k2, k3 = k0[start:end], k1[start:end], k2[start:end], k3[start:end]
            for p in range(end - start):
                tile[p] += q0 * k0[p] + q1 * k1[p] + q2 * k2[p] + q3 * k3[p]
    largest = weights[0]
    for p in range(used):
        largest = max(largest, weights[p])
    total = np.float32(0)
    for p in range(used):
        weights[p] = _exp(weights[p] - largest)
        total += weights[p]
    out[:] = 0
    whole = used // LANES * LANES
    for start in range(0, whole, TILE):
        end = min(start + TILE, whole)
        for block in range((D + ROWS - 1) // ROWS):
            first = min(block * ROWS, D - ROWS)
            sums = dots(values[:, start:end], first, weights[start:end])
            for i in range(block * ROWS - first, ROWS):
                out[first + i] += sums[i]
    for d in range(D):
        for p in range(whole, used):
            out[d] += weights[p] * values[d, p]
        out[d] /= total


@on_all_cores
def attend(qkv: Array, keys: Array, values: Array, length: int) -> Array:
    """Write a token's keys and values at ``length`` and return its attention [H D] up to there.

    ``keys`` and ``values`` are [H, D, capacity].
    """
    H, D, _ = keys.shape
    qkv = qkv.reshape(3, H, D)
    out = np.empty((H, D), np.float32)
    for h in prange(H):
        _attend_head(qkv[0, h], qkv[1, h], qkv[2, h], keys[h], values[h], length, out[h])
    return out.reshape(-1)


@on_all_cores
def _gated(gate_up: Array, scales: Array, x: Array) -> Array:
    """silu(gate) * up [M], of both products at once."""
    M, whole, step = len(gate_up) // 2, len(scales) > 0, np.float32(1)
    if is_laid_out(gate_up):
        row = _room(1, 2 * len(x))[0]
        step = lay_out(gate_up, x, row)
        x = row
    out = np.empty(M, np.float32)
    for block in prange((M + ROWS - 1) // ROWS):
        first = min(block * ROWS, M - ROWS)
        gates = dots(gate_up, first, x)
        ups = dots(gate_up, M + first, x)
        for i in range(ROWS):
            gate, up = gates[i], ups[i]
            if whole:
                gate *= scales[first + i] * step
                up *= scales[M + first + i] * step
            out[first + i] = _silu(gate) * up
    return out


@compiled
def _gate(gate: Array, up: Array, out: Array) -> None:
    for i in range(len(out)):
        out[i] = _silu(gate[i]) * up[i]


@on_all_cores
def gate_rows(gate_up: Array, out: Array) -> None:
    """``out`` [S, M] = silu(gate) * up of ``gate_up`` [S, 2 M]."""
    M = out.shape[1]
    for s in prange(len(out)):
        _gate(gate_up[s, :M], gate_up[s, M:], out[s])


@on_all_cores
def rotate_rows(qkv: Array, cos: Array, sin: Array, out: Array) -> None:
    """``qkv`` [S, 3 H D] by head, queries and keys rotated: ``out`` [3 H, S, D].

    ``cos``, ``sin`` [S, D] have the first half of the sines negated.
    """
    heads, S, D = out.shape
    turned = heads // 3 * 2
    for s in prange(S):
        for head in range(heads):
            x, y = qkv[s, head * D : head * D + D], out[head, s]
            if head < turned:
                _rotate(x, cos[s], sin[s], y)
            else:
                for i in range(D):
                    y[i] = x[i]


@compiled
def after_attention(layer: LayerArrays, hidden: Array, attended: Array, eps: np.float32) -> Array:
    """Compute the rest of a layer after ``attended`` [H D]: the new hidden state."""
    hidden = hidden + _product(layer.o, layer.o_scales, attended)
    x = normed(hidden, layer.post_norm, eps)
    gated = _gated(layer.gate_up, layer.gate_up_scales, x)
    return hidden + _product(layer.down, layer.down_scales, gated)


@compiled
def decode_layer(
    layer: LayerArrays,
    hidden: Array,
    eps: np.float32,
    cos: Array,
    sin: Array,
    keys: Array,
    values: Array,
    length: int,
) -> Array:
    """Compute a layer over a float cache laid out by channel, in one call from Python."""
    qkv = until_attention(layer, hidden, eps, cos, sin)
    return after_attention(layer, hidden, attend(qkv, keys, values, length), eps)
