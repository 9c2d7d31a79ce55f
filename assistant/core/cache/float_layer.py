"""Keys and values as they are computed."""

from __future__ import annotations

from typing import Any, Self

import torch
from transformers.cache_utils import CacheLayerMixin

from assistant.core.attention import attend, attend_one, merge
from assistant.core.formats import KV_BLOCK


class FloatLayer(CacheLayerMixin):  # type: ignore[misc]
    """One decoder layer: keys and values [1, kv_heads, capacity, head_dim], ``length`` in use."""

    is_croppable = True

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self.reserved = 0

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
        self.grow(end)
        self.keys.narrow(2, self.length, key_states.shape[2]).copy_(key_states)
        self.values.narrow(2, self.length, key_states.shape[2]).copy_(value_states)
        self.length = end
        return self.keys.narrow(2, 0, end), self.values.narrow(2, 0, end)

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Append ``k``, ``v`` [1, H, S, D]; returns the attention of ``q`` over all, [1, H, S, D].

        Over the past without a mask, over the new positions causally, merged: no mask exists.
        """
        past, S = self.length, q.shape[2]
        keys, values = self.update(k, v)
        if S == 1:
            return attend_one(q, keys, values)
        out = attend(q, keys[:, :, past:], values[:, :, past:], causal=True)
        if past:
            out = merge(attend(q, keys[:, :, :past], values[:, :, :past]), out)
        return out[0]

    def grow(self, needed: int) -> None:
        """Make room for ``needed`` positions, in blocks.

        A block a time copies a layer once in 256 tokens, a hundredth of what attention reads of
        it meanwhile; a prefill reserves its whole length before.
        """
        if needed <= self.values.shape[2]:  # grown last: memory may run out between the two
            return
        capacity = -(-max(needed, self.reserved) // KV_BLOCK) * KV_BLOCK
        for name in ("keys", "values"):
            old: torch.Tensor = getattr(self, name)
            B, H, _, D = old.shape
            new = old.new_empty(B, H, capacity, D)
            new[:, :, : self.length] = old[:, :, : self.length]
            setattr(self, name, new)

    def reachable(self, length: int) -> int:
        """The longest part of the first ``length`` positions that a crop can keep: all of them."""
        return length

    def crop(self, length: int) -> None:
        """Forget everything beyond the first ``length`` positions; the memory is kept."""
        self.length = length

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated, used or not."""
        return self.keys.nbytes + self.values.nbytes if self.is_initialized else 0

    def to(self, device: torch.device) -> None:
        """Move to ``device``."""
        if self.is_initialized:
            self.keys, self.values = self.keys.to(device), self.values.to(device)

    def copy(self, length: int) -> Self:
        """A layer of its own with the first ``length`` positions of this one."""
        other = type(self)()
        if self.is_initialized:
            other.update(self.keys[:, :, :length], self.values[:, :, :length])
        return other

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(keys that a query of this length sees, offset of the first)."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Positions in use."""
        return self.length

    def get_max_length(self) -> int:
        """No maximum of its own."""
        return -1
