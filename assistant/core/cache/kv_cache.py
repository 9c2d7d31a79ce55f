"""The KV cache: preallocated, grown in blocks, cropped to any length, one rotary regime.

Same interface as transformers' caches, without their concatenation per token. Float, or int8 or
int4 with the recent positions in float.
"""

from __future__ import annotations

import torch
from transformers.cache_utils import Cache

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


class KVCache(Cache):  # type: ignore[misc]
    """The cache of one sequence, rotated in one regime from its first position to its last.

    ``kind`` is "float" (the dtype of the keys that come), "int8" or "int4".
    """

    def __init__(self, num_layers: int, regime: Regime, kind: str = "float") -> None:
        super().__init__(layers=[_LAYERS[kind]() for _ in range(num_layers)])
        self.regime = regime
        self.kind = kind

    @property
    def length(self) -> int:
        """Positions held."""
        return int(self.layers[0].length)

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
