"""How many bytes things take: weights, activations, what a token of context costs. No torch.

Formulas of what :mod:`assistant.core.generate` and :mod:`assistant.phi3v` allocate; tests hold
them against real allocations on a CPU. Bytes per token and per weight of each format
come from :mod:`assistant.core.formats`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.core.formats import (
    INT8_PIECE,
    ITEM_BYTES,
    KV_BLOCK,
    TILE_NUMBERS,
    compute_dtype,
    kv_bytes_per_token,
    kv_fixed_bytes,
    matrix_bytes,
)
from assistant.phi3v.checkpoint import read_checkpoint
from assistant.phi3v.crops import CROP
from assistant.phi3v.shapes import (
    Geometry,
    Shape,
    is_read,
    is_vision,
    stored_weights,
    weight_shapes,
)
from assistant.values.errors import ModelError

PREFILL_CHUNK = 1024
"""Positions per forward pass of a prefill: bounds activation memory. Weights in 16 bits are widened
once a pass, a twenty-fifth of its time. On a CPU a stop is heard between layers."""

CROP_BATCH = 4
"""Crops per pass of the vision tower, for the same reason."""

PHI3_VISION = Geometry(
    hidden=3072,
    mlp=8192,
    layers=32,
    heads=32,
    kv_heads=32,
    vocab=32064,
    context=131_072,
    clip_hidden=1024,
    clip_mlp=4096,
    clip_layers=24,
    clip_patch=14,
)
"""Phi-3-vision-128k-instruct and Phi-3.5-vision-instruct (their config.json), here or not."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What a plan needs to know of a model.

    ``shapes`` are those of the weights that are read, ``dtype`` is the number
    format of the checkpoint, ``num_crops`` the most crops of a picture.
    """

    name: str
    geometry: Geometry
    shapes: Mapping[str, Shape]
    dtype: str
    num_crops: int


def size_of_folder(name: str, folder: Path, num_crops: int | None = None) -> ModelSize:
    """The size of a checkpoint that is here, from its own headers. Raises ModelError.

    ``num_crops`` is the setting. Fewer crops than the model's own change nothing: a picture may
    be given those by hand.
    """
    checkpoint = read_checkpoint(folder)
    geometry = Geometry.from_config(checkpoint.config)
    stored = stored_weights(folder)
    shapes = {n: w.shape for n, w in stored.items() if is_read(n, geometry)}
    dtype = str(checkpoint.config.get("dtype") or checkpoint.config.get("torch_dtype") or "float32")
    if dtype not in ITEM_BYTES:
        raise ModelError(
            f"{folder / 'config.json'} names the number format {dtype!r}: "
            f"only {', '.join(ITEM_BYTES)} can be used."
        )
    return ModelSize(name, geometry, shapes, dtype, max(num_crops or 0, checkpoint.num_crops))


def size_of_geometry(name: str, geometry: Geometry, num_crops: int = 16) -> ModelSize:
    """The size of a checkpoint in bfloat16 that is not here."""
    shapes = {n: s for n, s in weight_shapes(geometry).items() if is_read(n, geometry)}
    return ModelSize(name, geometry, shapes, "bfloat16", num_crops)


def weights_bytes(shapes: Mapping[str, Shape], dtype: str, weights: str, device_kind: str) -> int:
    """Bytes of all weights: the decoder's matrices as ``weights``, the rest as activations are."""
    item = ITEM_BYTES[compute_dtype(dtype, device_kind)]
    return sum(
        matrix_bytes(weights, shape[0], shape[1], dtype)
        if is_decoder_matrix(name, shape)
        else math.prod(shape) * item
        for name, shape in shapes.items()
    )


def is_decoder_matrix(name: str, shape: Shape) -> bool:
    """Whether a weight is read whole for every decoded token, and may be held as integers."""
    return len(shape) == 2 and not is_vision(name) and name != "model.embed_tokens.weight"


def streamed_bytes(shapes: Mapping[str, Shape], dtype: str, weights: str) -> int:
    """Bytes of the matrices that decoding one token reads."""
    return sum(
        matrix_bytes(weights, shape[0], shape[1], dtype)
        for name, shape in shapes.items()
        if is_decoder_matrix(name, shape)
    )


def kv_sizes(g: Geometry, dtype: str, kv: str, device_kind: str) -> tuple[int, int]:
    """(bytes of one position's keys and values, bytes of a cache beside that at any length).

    The second has the block that is allocated ahead.
    """
    item = compute_dtype(dtype, device_kind)
    per_token = kv_bytes_per_token(kv, g.layers, g.kv_heads, g.head_dim, item)
    fixed = kv_fixed_bytes(kv, g.layers, g.kv_heads, g.head_dim, item)
    return per_token, fixed + KV_BLOCK * per_token


def prefill_bytes(g: Geometry, dtype: str, weights: str, device_kind: str) -> int:
    """Activations of one prefill chunk.

    On a CPU the MLP's gate and up [chunk, 2 mlp], the gated half [chunk, mlp] and the rotated
    heads [chunk, 3 hidden] are kept; beside them the widest moment is the attention's product
    [chunk, 3 hidden] with the residual and its normed copy. Elsewhere it is inside the MLP: gate
    and up, the gated half and the product [chunk, mlp] each, beside the residual, its normed copy
    and a norm's two float32 copies. One row of logits and copies for sampling come after. On a CPU
    16-bit matrices are widened, int8's integer products are made of pieces of the chunk; torchao's
    int8 are widened whole.
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


def vision_bytes(g: Geometry, dtype: str, num_crops: int, device_kind: str) -> int:
    """Activations of looking at one picture of ``num_crops`` crops and the global view.

    Either the tower's MLP on a batch of crops (its first product and two copies for quick_gelu),
    or the projector on the whole picture (the sequence of merged features and the parts that it
    is made of, and three [tokens, hidden]), beside the pixels and all merged features.
    """
    item, crops = ITEM_BYTES[compute_dtype(dtype, device_kind)], num_crops + 1
    batch = min(CROP_BATCH, crops) * (g.patches + 1)
    tower = batch * (3 * g.clip_mlp + 4 * g.clip_hidden) * item
    merged = crops * g.patches * g.clip_hidden * item
    tokens = crops * (g.crop_tokens + math.isqrt(g.crop_tokens)) + 1
    projector = tokens * (2 * 4 * g.clip_hidden + 3 * g.hidden) * item
    pixels = crops * 3 * CROP * CROP * 4
    return pixels + merged + max(tower, projector)


def activation_bytes(model: ModelSize, dtype: str, weights: str, device_kind: str) -> int:
    """What comes and goes while a turn with a picture is answered.

    The sum, although pictures are looked at before the prompt is read: allocators keep what
    was freed for requests of the same size (seen with glibc: the peaks add up).
    """
    g = model.geometry
    looking = vision_bytes(g, dtype, model.num_crops, device_kind)
    return looking + prefill_bytes(g, dtype, weights, device_kind)


def working_bytes_per_token(g: Geometry, dtype: str, kv: str, device_kind: str) -> int:
    """What a token of context takes while a prompt is answered, beside its keys and values.

    The features of pictures in the prompt, which are kept as long as it is, and one layer's keys a
    second time, while they move to a larger place, or its values too, while a float layer on a
    CPU changes its layout.
    """
    compute = compute_dtype(dtype, device_kind)
    one_layer = kv_bytes_per_token(kv, 1, g.kv_heads, g.head_dim, compute)
    twice = one_layer if device_kind == "cpu" and kv == "float" else one_layer // 2
    return g.hidden * ITEM_BYTES[compute] + twice


def decoder_flop(shapes: Mapping[str, Shape]) -> int:
    """Operations that the decoder's matrices take for one position, without attention."""
    return sum(2 * math.prod(s) for name, s in shapes.items() if is_decoder_matrix(name, s))


def crop_flop(g: Geometry) -> int:
    """Operations of the vision tower for one crop: matrices, and attention among its patches."""
    positions, read = g.patches + 1, g.clip_layers - 1
    matrices = 4 * g.clip_hidden**2 + 2 * g.clip_hidden * g.clip_mlp
    return read * positions * (2 * matrices + 4 * positions * g.clip_hidden)
