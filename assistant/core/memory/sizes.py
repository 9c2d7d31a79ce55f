"""Bytes of weights, activations and a token of context, for the memory plan. No torch.

The formulas follow the allocations of :mod:`assistant.core.generate`; tests compare them with real
ones on a CPU. Bytes per token and per weight of each format come from
:mod:`assistant.core.formats`, the sizes of a model and of encoding its pictures from its family.
"""

from __future__ import annotations

import math

from assistant.core.formats import (
    INT8_PIECE,
    ITEM_BYTES,
    KV_BLOCK,
    TILE_NUMBERS,
    compute_dtype,
    is_narrowed,
    kv_bytes_per_token,
    kv_fixed_bytes,
    matrix_bytes,
)
from assistant.families.sizes import DecoderShape, ModelSize

PREFILL_CHUNK = 1024
"""Positions per forward pass of a prefill: bounds activation memory. A pass widens 16-bit weights
once, in a twenty-fifth of its time. On a CPU a stop takes effect between layers."""


def weights_bytes(
    model: ModelSize, dtype: str, weights: str, device_kind: str, tower: str | None = None
) -> int:
    """Count the bytes of all weights: matrices in format ``weights``, the rest as activations.

    With an int16 ``tower`` its large matrices are smaller; packed in bfloat16 they are too, which
    is not counted.
    """
    item = ITEM_BYTES[compute_dtype(dtype, device_kind)]
    found = streamed_bytes(model, dtype, weights) + model.other_weights * item
    if tower == "int16":
        for shape in model.tower_matrices:
            if is_narrowed(*shape):
                found -= math.prod(shape) * item - matrix_bytes("int16", *shape, dtype)
    return found


def streamed_bytes(model: ModelSize, dtype: str, weights: str) -> int:
    """Count the bytes of the matrices that decoding one token reads."""
    return sum(matrix_bytes(weights, rows, columns, dtype) for rows, columns in model.matrices)


def kv_sizes(g: DecoderShape, dtype: str, kv: str, device_kind: str) -> tuple[int, int]:
    """Return (bytes of one position's keys and values, bytes of a cache at any length beside them).

    The second includes the block that is allocated ahead.
    """
    item = compute_dtype(dtype, device_kind)
    per_token = kv_bytes_per_token(kv, g.layers, g.kv_heads, g.head_dim, item)
    fixed = kv_fixed_bytes(kv, g.layers, g.kv_heads, g.head_dim, item)
    return per_token, fixed + KV_BLOCK * per_token


def prefill_bytes(g: DecoderShape, dtype: str, weights: str, device_kind: str) -> int:
    """Count the bytes of activations of one prefill chunk.

    On a CPU the MLP's gate and up [chunk, 2 mlp], the gated half [chunk, mlp] and the rotated
    heads [chunk, 3 hidden] are kept; the peak beside them is the attention's product
    [chunk, 3 hidden] with the residual and its normed copy. Elsewhere the peak is inside the MLP:
    gate and up, the gated half and the product [chunk, mlp] each, beside the residual, its normed
    copy and a norm's two float32 copies. One row of logits and copies for sampling are added. A CPU
    widens 16-bit matrices by tiles and computes int8's integer products on pieces of the chunk;
    a card widens int8 matrices whole.
    """
    item = ITEM_BYTES[compute_dtype(dtype, device_kind)]
    largest = max(g.vocab, 2 * g.mlp) * g.hidden
    beside = 0
    if device_kind == "cpu":
        row = (3 * g.mlp + 8 * g.hidden) * item
        if weights == "int8":
            beside = 2 * INT8_PIECE * 2 * g.mlp * 4
        elif dtype != "float32":
            beside = min(TILE_NUMBERS, largest) * 4
    else:
        row = 4 * g.mlp * item + 2 * g.hidden * item + 2 * g.hidden * 4
        if weights == "int8":
            beside = largest * item
    return PREFILL_CHUNK * row + 4 * g.vocab * 4 + beside


def activation_bytes(model: ModelSize, dtype: str, weights: str, device_kind: str) -> int:
    """Count the bytes of activations while a turn with a picture is answered.

    The sum of encoding and prefill, although they do not overlap, because allocators keep freed
    memory for requests of the same size (measured with glibc: the peaks add up).
    """
    item = ITEM_BYTES[compute_dtype(dtype, device_kind)]
    encoding = model.pixel_bytes + model.vision_numbers * item
    return encoding + prefill_bytes(model.decoder, dtype, weights, device_kind)


def working_bytes_per_token(g: DecoderShape, dtype: str, kv: str, device_kind: str) -> int:
    """Count the bytes of a token of context while a prompt is answered, beside its keys and values.

    They are the features of the prompt's pictures and a second copy of one layer's keys, while they
    move to a larger buffer; or of its values too, while a float layer on a CPU changes its layout.
    """
    compute = compute_dtype(dtype, device_kind)
    one_layer = kv_bytes_per_token(kv, 1, g.kv_heads, g.head_dim, compute)
    twice = one_layer if device_kind == "cpu" and kv == "float" else one_layer // 2
    return g.hidden * ITEM_BYTES[compute] + twice
