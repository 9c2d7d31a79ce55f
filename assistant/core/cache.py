"""The KV cache: preallocated, grown in blocks, cropped to any length, one LongRoPE regime.

Same interface as transformers' caches, without their concatenation per token.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from assistant.phi3v.rope import Regime

BLOCK = 512
"""Positions by which a layer grows at least."""


class KVLayer(CacheLayerMixin):  # type: ignore[misc]
    """One decoder layer: keys and values [1, kv_heads, capacity, head_dim], ``length`` in use."""

    is_croppable = True

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take dtype, device and shape from the first keys and values."""
        B, H, _, D = key_states.shape
        self.keys = key_states.new_empty(B, H, 0, D)
        self.values = value_states.new_empty(B, H, 0, D)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [1, H, S, D]; returns views of everything up to the new length."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        if end > self.keys.shape[2]:
            self._grow(end)
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _grow(self, needed: int) -> None:
        """Make room for ``needed`` positions: half as much again, so that growing stays rare."""
        capacity = max(needed, self.keys.shape[2] * 3 // 2)
        capacity = -(-capacity // BLOCK) * BLOCK
        for name in ("keys", "values"):
            old: torch.Tensor = getattr(self, name)
            B, H, _, D = old.shape
            new = old.new_empty(B, H, capacity, D)
            new[:, :, : self.length] = old[:, :, : self.length]
            setattr(self, name, new)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(keys that a query of this length sees, offset of the first)."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Positions in use."""
        return self.length

    def get_max_length(self) -> int:
        """No maximum of its own."""
        return -1


class KVCache(Cache):  # type: ignore[misc]
    """The cache of one sequence, rotated in one regime from its first position to its last."""

    def __init__(self, num_layers: int, regime: Regime) -> None:
        super().__init__(layers=[KVLayer() for _ in range(num_layers)])
        self.regime = regime

    @property
    def length(self) -> int:
        """Positions held."""
        return int(self.layers[0].length)

    def crop(self, length: int) -> None:
        """Forget everything beyond the first ``length`` positions; the memory is kept."""
        if not 0 <= length <= self.length:
            raise ValueError(f"can't crop a cache of {self.length} positions to {length}")
        for layer in self.layers:
            layer.length = length

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated, used or not."""
        return sum(
            layer.keys.nbytes + layer.values.nbytes for layer in self.layers if layer.is_initialized
        )

    def to(self, device: torch.device) -> KVCache:
        """Move to ``device``, in place; returns itself."""
        for layer in self.layers:
            if layer.is_initialized:
                layer.keys, layer.values = layer.keys.to(device), layer.values.to(device)
        return self

    def copy(self, length: int) -> KVCache:
        """A cache of its own that holds the first ``length`` positions of this one."""
        other = KVCache(len(self.layers), self.regime)
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            if mine.is_initialized:
                theirs.update(mine.keys[:, :, :length], mine.values[:, :, :length])
        return other
