"""CPU kernels (numba) for what is between a vision tower's products: attention, activation.

Torch's attention in float32 takes a fifth of a layer whose products have fewer bits. Here queries,
keys, weights and values are of 16 bits as well, multiplied by the tile of
:mod:`assistant.core.cpu.packed_int16`: bfloat16 where the processor has it and the tower is held in
it, else whole numbers. Scores, softmax and sums are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange

from assistant.core.cpu.compiler import compiled, on_all_cores
from assistant.core.cpu.llvm import POWERS_OF_TWO, bits_of, float_of, power_of_two
from assistant.core.cpu.packed_int16 import COLUMNS, ROWS, tile
from assistant.core.cpu.whole_steps import round_rows

Array = np.ndarray[Any, Any]

SEEN, SEEN_STEPS, VALUE_STEPS = 64, 32767, 1023
"""Keys whose weights are added up before a sum becomes a float, steps to the largest weight and to
the largest value of a channel: 64 x 32767 x 1023 is just below 2^31. Many keys that are seen little
lose 1 % of all weights at most, half a step each."""


def can_attend(length: int, head_dim: int) -> bool:
    """Whether :func:`attend` takes heads of this width and rows of this number."""
    return length >= ROWS and head_dim % COLUMNS == 0


def quick_gelu(rows: torch.Tensor) -> None:
    """Apply CLIP's activation to ``rows`` [S, N], bfloat16 or float32, in place."""
    if rows.dtype == torch.float32:
        quick_gelu_rows(rows.numpy())
    else:
        quick_gelu_bits(rows.view(torch.int16).numpy())


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention of [S, H D] in bfloat16 or float32, which is rounded to whole numbers: float32."""
    S, W = q.shape
    D, whole = W // heads, q.dtype == torch.float32
    length = -(-S // COLUMNS) * COLUMNS
    if whole:
        q, query_steps = _in_whole_steps(q, heads)
        k, key_steps = _in_whole_steps(k, heads)
        value_steps = v.abs().amax(0).clamp_(min=1e-30).div_(VALUE_STEPS)
        v = (v / value_steps).round_().to(torch.int16)
    else:
        q, k, v = (one.contiguous().view(torch.int16) for one in (q, k, v))
        query_steps = key_steps = torch.ones(heads, S)
        value_steps = torch.ones(W)
    # as ``packed_int16.pack`` does, for each head
    keys = _longer(k, length).view(torch.int32).view(-1, COLUMNS, heads, D // 2)
    values = _longer(v, S + S % 2).view(-1, 2, heads, D // COLUMNS, COLUMNS)
    out = torch.empty(S, W)
    arrays = (
        q,
        query_steps,
        keys.permute(2, 0, 3, 1).contiguous().view(torch.int16),
        key_steps,
        values.permute(2, 3, 0, 4, 1).contiguous(),
        value_steps.view(heads, D),
        torch.empty(heads, ROWS, max(length, D), dtype=torch.int32 if whole else torch.float32),
        out,
    )
    attend_packed(whole, *(one.numpy() for one in arrays))
    return out


def _in_whole_steps(x: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Round ``x`` [S, H D], each head of a row for itself: int16 [S, H D] and steps [H, S].

    Products of D such numbers stay within 32 bits.
    """
    S, W = x.shape
    whole, steps = torch.empty(S * heads, W // heads, dtype=torch.int16), torch.empty(S * heads)
    most = int((2**31 / (W // heads)) ** 0.5) - 1
    round_rows(x.reshape(whole.shape).numpy(), whole.numpy(), steps.numpy(), most, most + 1)
    return whole.view(S, W), steps.view(S, heads).t().contiguous()


def _longer(x: torch.Tensor, length: int) -> torch.Tensor:
    """Append rows of zeros to ``x`` [S, W]."""
    return torch.cat((x, x.new_zeros(length - len(x), x.shape[1])))


@compiled
def _two_to_the(x: np.float32) -> np.float32:
    """Return 2 to the power of ``x`` from -126 to 127, to 3 millionths of it.

    The series of 2^r for |r| <= 1/2, without branches, so that LLVM vectorizes loops over it.
    """
    n = np.floor(x + np.float32(0.5))
    r = x - n
    e = np.float32(POWERS_OF_TWO[0])
    for factor in POWERS_OF_TWO[1:]:
        e = e * r + np.float32(factor)
    scaled: np.float32 = e * power_of_two(np.int32(n))
    return scaled


@compiled
def _in_order(bits: np.int32) -> np.int32:
    """Return whole numbers in the order of the floats of these bits, and the bits of those."""
    ordered: np.int32 = bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))
    return ordered


@compiled
def _softmax(
    sums: Array, step: np.float32, steps: Array, scores: Array, weights: Array, whole: bool
) -> np.float32:
    """``weights`` = softmax of ``sums`` times their steps, unscaled; returns what they add up to.

    Powers of two: ``step`` is that of e. Weights are in SEEN_STEPS, or the bits of bfloat16.
    """
    top = np.int32(-0x7FFFFFFF)
    for i in range(len(steps)):
        scores[i] = np.float32(sums[i]) * (steps[i] * step)
        top = max(top, _in_order(bits_of(scores[i])))
    largest, total = float_of(_in_order(top)), np.float32(0)
    if whole:
        for i in range(len(steps)):
            e = _two_to_the(max(scores[i] - largest, np.float32(-126)))
            number = np.int32(e * np.float32(SEEN_STEPS) + np.float32(0.5))
            weights[i] = number
            total += np.float32(number)
        return total
    for i in range(len(steps)):
        e = _two_to_the(max(scores[i] - largest, np.float32(-126)))
        weights[i] = (bits_of(e) + np.int32(0x8000)) >> np.int32(16)
        total += e
    return total


@compiled
def _attend_head(
    whole: bool,
    queries: Array,
    query_steps: Array,
    keys: Array,
    key_steps: Array,
    values: Array,
    value_steps: Array,
    sums: Array,
    out: Array,
) -> None:
    S, D = queries.shape
    width = 2 * values.shape[1]
    longest = SEEN if whole else width
    scores, weights = np.empty(S, np.float32), np.zeros((ROWS, width), np.int16)
    totals, found = np.empty(ROWS, np.float32), np.empty((ROWS, D), np.float32)
    base = np.float32(1.44269504 / np.sqrt(np.float32(D)))
    for row in range(0, S, ROWS):
        s = min(row, S - ROWS)  # the last tile overlaps the one before
        for block in range(len(keys)):
            tile(queries, s, keys[block], 0, D, sums, block * COLUMNS)
        for i in range(ROWS):
            step = query_steps[s + i] * base
            totals[i] = _softmax(sums[i], step, key_steps, scores, weights[i], whole)
        found[:] = 0
        for k in range(0, width, longest):
            for block in range(len(values)):
                tile(weights, 0, values[block], k, min(k + longest, width), sums, block * COLUMNS)
            for i in range(ROWS):
                for d in range(D):
                    found[i, d] += np.float32(sums[i, d])
        for i in range(ROWS):
            share = np.float32(1) / totals[i]
            for d in range(D):
                out[s + i, d] = found[i, d] * value_steps[d] * share


@on_all_cores
def attend_packed(
    whole: bool,
    queries: Array,
    query_steps: Array,
    keys: Array,
    key_steps: Array,
    values: Array,
    value_steps: Array,
    sums: Array,
    out: Array,
) -> None:
    """``out`` [S, H D] = attention of ``queries`` [S, H D] over packed ``keys`` and ``values``.

    Steps are [H, S], those of values [H, D]. ``sums`` [H, ROWS, keys] is memory for them, of int32
    where all numbers are ``whole``, else of float32.
    """
    H = len(keys)
    D = queries.shape[1] // H
    for h in prange(H):
        part = slice(h * D, h * D + D)
        _attend_head(
            whole,
            queries[:, part],
            query_steps[h],
            keys[h],
            key_steps[h],
            values[h],
            value_steps[h],
            sums[h],
            out[:, part],
        )


@compiled
def _quick_gelu(x: np.float32) -> np.float32:
    """Return ``x`` times the logistic function of 1.702 ``x``."""
    power = min(max(x * np.float32(-1.702 * 1.44269504), np.float32(-126)), np.float32(126))
    gated: np.float32 = x / (np.float32(1) + _two_to_the(power))
    return gated


@on_all_cores
def quick_gelu_rows(rows: Array) -> None:
    """Apply it to float32 ``rows`` [S, N] in place."""
    for s in prange(len(rows)):
        for i in range(rows.shape[1]):
            rows[s, i] = _quick_gelu(rows[s, i])


@on_all_cores
def quick_gelu_bits(rows: Array) -> None:
    """Apply it to ``rows`` [S, N] of bfloat16, seen as int16, in place."""
    for s in prange(len(rows)):
        for i in range(rows.shape[1]):
            x = _quick_gelu(float_of(np.int32(rows[s, i]) << np.int32(16)))
            rows[s, i] = (bits_of(x) + np.int32(0x8000)) >> np.int32(16)
