"""Bytes of each number format of weights and KV. Arithmetic only: no torch.

What :mod:`assistant.core.cache` and :mod:`assistant.core.weights` allocate; tests hold one
against the other.
"""

from __future__ import annotations

KV_BLOCK = 256
"""Positions by which a KV cache grows: at most this many are allocated and not used."""

TAIL_BLOCK = 64
"""Positions that an int8 KV cache quantizes together; up to two such blocks stay in float too."""

SCALE_BYTES = 4
"""A float32 scale for each position and head (KV) or each row of a matrix (weights)."""

KV_KINDS = ("float", "int8")
"""int4 is left out: on a CPU it would be unpacked to float for every product as int8 is, at a
higher cost, and half of int8's size is gained at several times its error."""

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def weight_kinds(device_kind: str) -> tuple[str, ...]:
    """Formats of the decoder's matrices on ``cpu``, ``cuda`` or ``mps``.

    int4 on a CPU is left out: torch's kernel decodes no faster than int8's there and prefills
    three times slower than float32.
    """
    return {"cpu": ("float", "int8"), "cuda": ("float", "int8", "int4")}.get(
        device_kind, ("float",)
    )


def compute_dtype(dtype: str, device_kind: str) -> str:
    """The format of activations, float KV, embeddings, norms and the vision tower.

    On a CPU float32 whatever the matrices are held in, elsewhere the model's own.
    """
    return "float32" if device_kind == "cpu" else dtype


def matrix_bytes(kind: str, rows: int, columns: int, dtype: str) -> int:
    """Bytes of one matrix [rows, columns] of the decoder; ``dtype`` is that of kind "float"."""
    if kind == "float":
        return rows * columns * ITEM_BYTES[dtype]
    if kind == "int8":
        return rows * (columns + SCALE_BYTES)
    return rows * columns // 2 + rows * columns // 32 * 4  # int4: a scale and a zero for each 32


def kv_bytes_per_token(kind: str, layers: int, kv_heads: int, head_dim: int, dtype: str) -> int:
    """Bytes of one position's keys and values; ``dtype`` is the :func:`compute_dtype`."""
    vectors = 2 * layers * kv_heads
    if kind == "float":
        return vectors * head_dim * ITEM_BYTES[dtype]
    return vectors * (head_dim + SCALE_BYTES)


def kv_fixed_bytes(kind: str, layers: int, kv_heads: int, head_dim: int, dtype: str) -> int:
    """Bytes that a KV cache takes at any length: the float tail of an int8 one, twice.

    Twice because the tail before the last chunk is kept, so that the chunk can be taken back.
    """
    if kind == "float":
        return 0
    return 2 * layers * kv_heads * head_dim * 2 * 2 * TAIL_BLOCK * ITEM_BYTES[dtype]
