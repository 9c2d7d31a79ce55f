"""KV cache of one layer in float.

Laid out by position for prefills, whose kernel wants it so. On a CPU one token's attention
takes 1.6 times as long over that as over a layout by channel, which is read at the speed of
plain reading (8 heads of 96, 8,000 positions, one thread, busy machine: 5.5, 3.4 and 3.7 ms).
So a layer changes over when tokens are decoded (:mod:`assistant.core.decode` changes one
layer a token) and back when a long chunk comes.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch.nn.functional import scaled_dot_product_attention

from assistant.core.attention import attend, attend_columns, merge
from assistant.core.cache.layer import CroppableLayer
from assistant.core.formats import KV_BLOCK

MOST_SCORES = 2**24
"""Scores [H, S, K] that a short chunk may make over a layer laid out by channel: 64 MiB."""

MOST_QUERIES = 64
"""Queries beyond which the kernel for prefills is quicker, with the change of layout."""


class FloatLayer(CroppableLayer):
    """One decoder layer: keys and values [1, kv_heads, capacity, head_dim], ``length`` in use.

    [1, kv_heads, head_dim, capacity] where it is ``by_channel``.
    """

    _cleared: torch.Tensor | None = None
    """The keys beyond whose positions, and those of their values, no number is a NaN."""

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
        if self.by_channel:
            self.lay_out(by_channel=False)
        self._append(key_states, value_states)
        return self.keys.narrow(2, 0, self.length), self.values.narrow(2, 0, self.length)

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Append ``k``, ``v`` [1, H, S, D]; returns the attention of ``q`` over all, [1, H, S, D].

        Over the past without a mask, over the new positions causally, merged: no mask exists.
        """
        past, (_, H, S, _) = self.length, q.shape
        if self.by_channel and S <= MOST_QUERIES and H * S * (past + S) <= MOST_SCORES:
            self._append(k.mT, v.mT)
            used = self.length
            return attend_columns(q, self.keys.narrow(3, 0, used), self.values.narrow(3, 0, used))
        keys, values = self.update(k, v)
        if S == 1:
            return scaled_dot_product_attention(q, keys, values)
        out = attend(q, keys[:, :, past:], values[:, :, past:], causal=True)
        if past:
            out = merge(attend(q, keys[:, :, :past], values[:, :, :past]), out)
        return out[0]

    def next_place(self) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Append a position to a layer laid out by channel; returns the place for the kernel.

        That is keys and values [kv_heads, head_dim, capacity] and the new position's index.
        """
        at = self.length
        self.grow(at + 1)
        self.length = at + 1
        return self.keys[0], self.values[0], at

    def place_of_next(self) -> tuple[int, ...]:
        """Make room for a position that :meth:`attend_fixed` will write."""
        self.grow(self.length + 1)
        if self._cleared is not self.keys:  # a mask hides any number, but not NaN
            for states in self.places:
                states[:, :, self.length :] = 0
            self._cleared = self.keys
        return ()

    @property
    def places(self) -> tuple[torch.Tensor, ...]:
        """All that :meth:`attend_fixed` reads and writes."""
        return self.keys, self.values

    def attend_fixed(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, where: torch.Tensor
    ) -> torch.Tensor:
        """Attend with one query at the position ``where`` [1], over the whole capacity, masked."""
        self.keys.index_copy_(2, where, k)
        self.values.index_copy_(2, where, v)
        seen = torch.arange(self.keys.shape[2], device=where.device) <= where
        return scaled_dot_product_attention(q, self.keys, self.values, attn_mask=seen[None])

    def took_next(self) -> None:
        """Count the position that :meth:`attend_fixed` wrote."""
        self.length += 1

    def lay_out(self, *, by_channel: bool) -> None:
        """Change the layout; one layer exists twice meanwhile."""
        if by_channel != self.by_channel and self.is_initialized:
            used, capacity = self.length, self.keys.shape[self._axis]
            B, H, D = *self.keys.shape[:2], self.keys.shape[5 - self._axis]
            shape = (B, H, D, capacity) if by_channel else (B, H, capacity, D)
            states = []
            for old in (self.keys, self.values):
                new = old.new_empty(shape)
                new.mT.narrow(self._axis, 0, used).copy_(old.narrow(self._axis, 0, used))
                states.append(new)
            self.keys, self.values = states
            self.by_channel = by_channel

    @property
    def _axis(self) -> int:
        """The dimension of positions."""
        return 3 if self.by_channel else 2

    def _append(self, k: torch.Tensor, v: torch.Tensor) -> None:
        """``k``, ``v`` in the layout of the layer."""
        axis, at = self._axis, self.length
        S = k.shape[axis]
        if at + S > self.values.shape[axis]:  # grown last: memory may run out between the two
            self.grow(at + S)
        self.keys.narrow(axis, at, S).copy_(k)
        self.values.narrow(axis, at, S).copy_(v)
        self.length = at + S

    def grow(self, needed: int) -> None:
        """Make room for ``needed`` positions, in blocks.

        A block a time copies a layer once in 256 tokens, a hundredth of what attention reads of
        it meanwhile; a prefill reserves its whole length before.
        """
        axis = self._axis
        if needed <= self.values.shape[axis]:  # grown last: memory may run out between the two
            return
        capacity = -(-max(needed, self.reserved) // KV_BLOCK) * KV_BLOCK
        for name in ("keys", "values"):
            old: torch.Tensor = getattr(self, name)
            shape = list(old.shape)
            shape[axis] = capacity
            new = old.new_empty(shape)
            new.narrow(axis, 0, self.length).copy_(old.narrow(axis, 0, self.length))
            setattr(self, name, new)

    def reachable(self, length: int) -> int:
        """Return how many of the first ``length`` positions a crop can keep: all of them."""
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
        """Copy the first ``length`` positions."""
        other = type(self)()
        if self.is_initialized:
            axis = self._axis
            other.by_channel, other.is_initialized = self.by_channel, True
            other.keys, other.values = self.keys.narrow(axis, 0, 0), self.values.narrow(axis, 0, 0)
            other._append(self.keys.narrow(axis, 0, length), self.values.narrow(axis, 0, length))
        return other
