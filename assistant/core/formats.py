"""Bytes of each number format of weights and KV. Arithmetic only: no torch.

What :mod:`assistant.core.cache` and :mod:`assistant.core.weights` allocate; tests hold one
against the other.
"""

from __future__ import annotations

from collections.abc import Callable

KV_BLOCK = 256
"""Positions by which a KV cache grows: at most this many are allocated and not used."""

TAIL_BLOCK = 64
"""Positions that a quantized KV cache packs together; up to two such blocks stay in float too."""

SCALE_BYTES = 4
"""A float32 scale for each position and head (KV) or each row of a matrix (weights)."""

TILE_NUMBERS = 2**26
"""Numbers of a matrix that are widened to float32 at once, 256 MiB: all of a layer's of Phi-3's
width. Products of tiles take 10 to 25 % longer than those of a whole matrix."""

INT8_PIECE = 256
"""Rows of activations that meet int8 weights at once: what comes between stays small."""

TOWER_ROWS = 577
"""Patches of a crop in CLIP ViT-L, with the class: rows that a vision tower's matrices meet."""

LEAST_TOWER_NUMBERS = 2**20
"""Numbers of a tower's matrix from which on fewer bits are worth it: less takes no time."""

TOWER_COLUMNS = 32
"""Rows of a matrix of a tower that are packed side by side, at most."""

TOWER_BESIDE = {"bfloat16": "bfloat16", "int8": "int16"}
"""Formats of the vision tower beside those of a decoder's matrices; int16 is 10 bits of a whole
number and a scale for each row."""

CLEARLY_QUICKER = 1.15
"""Times the speed of a checkpoint's own numbers from which on int16 is taken for a tower."""

KV_KINDS = ("float", "int8", "int4")
"""From the exact to the small. int4 is never chosen without being asked: it has many times the
error of int8, and costs more to widen; it is for contexts that nothing else holds."""

AUTO_KV_KINDS = KV_KINDS[:2]
"""The kinds that "auto" chooses from."""

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def int4_group(head_dim: int) -> int:
    """Numbers of a value that share a step and a low in an int4 KV cache."""
    return 32 if head_dim % 32 == 0 else head_dim


def weight_kinds(device_kind: str) -> tuple[str, ...]:
    """List the formats of the decoder's matrices on ``cpu``, ``cuda`` or ``mps``.

    int4 on a CPU is left out: torch's kernel decodes no faster than int8's there and prefills
    three times slower than float32.
    """
    return {"cpu": ("float", "int8"), "cuda": ("float", "int8", "int4")}.get(
        device_kind, ("float",)
    )


def compute_dtype(dtype: str, device_kind: str) -> str:
    """Return the format of activations, float KV, embeddings, norms and the vision tower.

    On a CPU float32 whatever the matrices are held in, elsewhere the model's own.
    """
    return "float32" if device_kind == "cpu" else dtype


def tower_format(dtype: str, weights: str, gain: Callable[[str], float]) -> str:
    """Choose the format of the large matrices of a vision tower on a CPU.

    ``gain`` returns how many times as fast as in float32 its products are in a format. A checkpoint
    in bfloat16 keeps its numbers; int16 rounds them, so it is taken only where the decoder's
    matrices, in format ``weights``, are rounded as well.
    """
    own, times = "float32", 1.0
    if dtype == "bfloat16" and gain(dtype) > 1:
        own, times = dtype, gain(dtype)
    return "int16" if weights == "int8" and gain("int16") > CLEARLY_QUICKER * times else own


def is_narrowed(rows: int, columns: int) -> bool:
    """Whether a matrix of a tower is large enough for fewer bits, and its shape can be packed."""
    is_large = rows * columns >= LEAST_TOWER_NUMBERS
    return is_large and rows % TOWER_COLUMNS == 0 and columns % 2 == 0


def matrix_bytes(kind: str, rows: int, columns: int, dtype: str) -> int:
    """Bytes of one matrix [rows, columns] of the decoder; ``dtype`` is that of kind "float"."""
    if kind == "float":
        return rows * columns * ITEM_BYTES[dtype]
    if kind == "int8":
        return rows * (columns + SCALE_BYTES)
    if kind == "int16":
        return rows * (2 * columns + SCALE_BYTES)
    return rows * columns // 2 + rows * columns // 32 * 4  # int4: a scale and a zero for each 32


def kv_bytes_per_token(kind: str, layers: int, kv_heads: int, head_dim: int, dtype: str) -> int:
    """Bytes of one position's keys and values; ``dtype`` is the :func:`compute_dtype`."""
    vectors = 2 * layers * kv_heads
    if kind == "float":
        return vectors * head_dim * ITEM_BYTES[dtype]
    if kind == "int8":
        return vectors * (head_dim + SCALE_BYTES)
    # int4: a step and a low in float16 for each channel of a block of keys, each group of a value
    key = head_dim // 2 + head_dim * 4 / TAIL_BLOCK
    value = head_dim // 2 + head_dim // int4_group(head_dim) * 4
    return round(layers * kv_heads * (key + value))


def kv_fixed_bytes(kind: str, layers: int, kv_heads: int, head_dim: int, dtype: str) -> int:
    """Bytes that a KV cache takes at any length: the float tail of a quantized one, twice.

    Twice because the tail before the last chunk is kept, so that the chunk can be taken back.
    """
    if kind == "float":
        return 0
    return 2 * layers * kv_heads * head_dim * 2 * 2 * TAIL_BLOCK * ITEM_BYTES[dtype]
