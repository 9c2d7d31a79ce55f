"""The KV cache: preallocated, grown in blocks, cropped to any length, one rotary regime.

It has what transformers' models call of a cache, without their concatenation per token. Float, or
int8 or int4 with the recent positions in float.
"""

from __future__ import annotations

from typing import Any

import torch

from assistant.core.cache.float_layer import FloatLayer
from assistant.core.cache.quantized_layer import Int4Layer, Int8Layer, QuantizedLayer
from assistant.core.formats import KV_BLOCK as BLOCK
from assistant.families.runtime import Regime

__all__ = ["BLOCK", "FloatLayer", "KVCache", "QuantizedLayer"]

_LAYERS: dict[str, type[FloatLayer | QuantizedLayer]] = {
    "float": FloatLayer,
    "int8": Int8Layer,
    "int4": Int4Layer,
}


class KVCache:
    """The cache of one sequence, rotated in one regime from its first position to its last.

    ``kind`` is "float" (the dtype of the keys that come), "int8" or "int4".
    """

    def __init__(self, num_layers: int, regime: Regime, kind: str = "float") -> None:
        self.layers: list[Any] = [_LAYERS[kind]() for _ in range(num_layers)]
        self.regime = regime
        self.kind = kind

    @property
    def length(self) -> int:
        """Positions held."""
        return int(self.layers[0].length)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the positions of a layer."""
        return int(self.layers[layer_idx].length)

    def get_query_offset(self, layer_idx: int = 0) -> int:
        """Return the position of the next query."""
        return self.get_seq_length(layer_idx)

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Return (keys that the last query sees, offset of the first), for transformers' masks."""
        return self.get_seq_length(layer_idx) + query_length, 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [1, H, S, D] to a layer; returns all its keys and values."""
        keys, values = self.layers[layer_idx].update(key_states, value_states)
        return keys, values

    def crop(self, length: int) -> int:
        """Forget everything beyond the first ``length`` positions; the memory is kept.

        Returns the new length, which a float cache always meets. A quantized
        cache may keep up to 63 positions fewer: all but the last blocks have lost the float
        numbers that an exact continuation needs, so that the few positions
        before the cut have to be computed again. Cropping the newest chunk or proposal is
        always exact.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"can't crop a cache of {self.length} positions to {length}")
        kept: int = min(layer.reachable(length) for layer in self.layers)
        for layer in self.layers:
            layer.crop(kept)
        return kept

    def reserve(self, length: int) -> None:
        """Let the cache grow to ``length`` positions at once instead of in blocks."""
        for layer in self.layers:
            layer.reserved = length

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated, used or not."""
        return sum(layer.nbytes for layer in self.layers)

    def to(self, device: torch.device) -> KVCache:
        """Move to ``device``, in place; returns itself."""
        for layer in self.layers:
            layer.to(device)
        return self

    def copy(self, length: int) -> KVCache:
        """Copy the first ``length`` positions, or a few less, as :meth:`crop` does."""
        other = KVCache(0, self.regime, self.kind)
        kept = min(layer.reachable(length) for layer in self.layers)
        other.layers = [layer.copy(kept) for layer in self.layers]
        return other
