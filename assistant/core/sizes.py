"""How many bytes things take: weights, activations, what a token of context costs. No torch.

Formulas of what :mod:`assistant.core.generation` and :mod:`assistant.phi3v` allocate; tests hold
them against real allocations on a CPU. Bytes per token and per weight of each format
come from :mod:`assistant.core.formats`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.phi3v.checkpoint import read_checkpoint
from assistant.phi3v.geometry import CROP
from assistant.phi3v.shapes import (
    Geometry,
    Shape,
    is_read,
    is_vision,
    stored_weights,
    weight_shapes,
)

PREFILL_CHUNK = 512
"""Positions per forward pass of a prefill: bounds activation memory and the wait for a stop."""

CROP_BATCH = 4
"""Crops per pass of the vision tower, for the same reason."""

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


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
    """The size of a checkpoint that is here, from its own headers. Raises ModelError."""
    checkpoint = read_checkpoint(folder)
    geometry = Geometry.from_config(checkpoint.config)
    stored = stored_weights(folder)
    shapes = {n: w.shape for n, w in stored.items() if is_read(n, geometry)}
    dtype = str(checkpoint.config.get("dtype") or checkpoint.config.get("torch_dtype") or "float32")
    return ModelSize(name, geometry, shapes, dtype, num_crops or checkpoint.num_crops)


def size_of_geometry(name: str, geometry: Geometry, num_crops: int = 16) -> ModelSize:
    """The size of a checkpoint in bfloat16 that is not here."""
    shapes = {n: s for n, s in weight_shapes(geometry).items() if is_read(n, geometry)}
    return ModelSize(name, geometry, shapes, "bfloat16", num_crops)


def weights_bytes(shapes: Mapping[str, Shape], dtype: str, weights: str) -> int:
    """Bytes of all weights when the decoder's matrices are held as ``weights``."""
    item = ITEM_BYTES[dtype]
    total = 0
    for name, shape in shapes.items():
        numbers = math.prod(shape)
        if weights == "float" or not _is_quantized(name, shape):
            total += numbers * item
        elif weights == "int8":
            total += numbers + shape[0] * 4
        else:
            total += numbers // 2 + numbers // 32 * 4
    return total


def _is_quantized(name: str, shape: Shape) -> bool:
    return len(shape) == 2 and not is_vision(name) and "embed_tokens" not in name


def streamed_bytes(shapes: Mapping[str, Shape], dtype: str, weights: str) -> int:
    """Bytes of weights that decoding one token reads: all but the vision's and the embeddings'."""
    read = {n: s for n, s in shapes.items() if not is_vision(n) and "embed_tokens" not in n}
    return weights_bytes(read, dtype, weights)


def kv_bytes_per_token(g: Geometry, dtype: str, kv: str) -> int:
    """Bytes of the keys and values of one position in all layers."""
    rows = 2 * g.layers * g.kv_heads
    if kv == "float":
        return rows * g.head_dim * ITEM_BYTES[dtype]
    return rows * (g.head_dim + 4) if kv == "int8" else rows * (g.head_dim // 2 + 4)


def prefill_bytes(g: Geometry, dtype: str) -> int:
    """Activations of one prefill chunk, without what grows with the context.

    The widest moment is inside the MLP: gate and up [chunk, 2 mlp], the gated half and the
    product [chunk, mlp] each, beside the residual, its normed copy and a norm's two float32
    copies [chunk, hidden]. One row of logits and copies for sampling come after.
    """
    item = ITEM_BYTES[dtype]
    row = 4 * g.mlp * item + 2 * g.hidden * item + 2 * g.hidden * 4
    return PREFILL_CHUNK * row + 4 * g.vocab * 4


def vision_bytes(g: Geometry, dtype: str, num_crops: int) -> int:
    """Activations of looking at one picture of ``num_crops`` crops and the global view.

    Either the tower's MLP on a batch of crops (its first product and two copies for quick_gelu),
    or the projector on the whole picture (the sequence of merged features and the parts that it
    is made of, and three [tokens, hidden]), beside the pixels and all merged features.
    """
    item, crops = ITEM_BYTES[dtype], num_crops + 1
    batch = min(CROP_BATCH, crops) * (g.patches + 1)
    tower = batch * (3 * g.clip_mlp + 4 * g.clip_hidden) * item
    merged = crops * g.patches * g.clip_hidden * item
    tokens = crops * (g.crop_tokens + math.isqrt(g.crop_tokens)) + 1
    projector = tokens * (2 * 4 * g.clip_hidden + 3 * g.hidden) * item
    pixels = crops * 3 * CROP * CROP * 4
    return pixels + merged + max(tower, projector)


def working_bytes_per_token(g: Geometry, dtype: str, device_kind: str) -> int:
    """What a token of context takes while a prompt is answered, beside its keys and values.

    The features of pictures in the prompt, which are kept as long as it is; one layer's keys and
    values a second time (while a layer grows, or widened for attention where they are held
    as integers); on a CPU the attention mask of a chunk, as booleans and in the number format.
    """
    item = ITEM_BYTES[dtype]
    layer = 2 * g.kv_heads * g.head_dim * item
    mask = PREFILL_CHUNK * (1 + item) if device_kind == "cpu" else 0
    return g.hidden * item + layer + mask
