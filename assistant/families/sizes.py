"""Sizes of a model, for memory plans: decoder, weights, picture encoding. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """Sizes of a decoder, by the names of a config.json."""

    hidden: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Sizes of a model, for the memory plan.

    ``matrices`` are the shapes [out, in] of the weights that decoding a token reads whole, the only
    ones that ``weights`` chooses the format of; ``other_weights`` counts the numbers of all others,
    of which ``tower_matrices`` are the vision tower's that a CPU may hold in fewer bits. ``dtype``
    is the checkpoint's number format, ``context`` its longest sequence in positions.

    Encoding the largest picture takes ``pixel_bytes`` and ``vision_numbers`` activations at its
    peak. ``view_flop`` are the operations for one view (crop) of a picture.
    """

    name: str
    decoder: DecoderShape
    context: int
    dtype: str
    matrices: tuple[tuple[int, int], ...]
    other_weights: int
    pixel_bytes: int
    vision_numbers: int
    view_flop: int
    tower_matrices: tuple[tuple[int, int], ...] = ()

    @property
    def decoder_flop(self) -> int:
        """Operations of the decoder's matrices for one position, without attention."""
        return sum(2 * math.prod(shape) for shape in self.matrices)
