"""Keys and values in 8 or 4 bits, the recent ones in float.

What a query sees depends on its position alone, never on how the sequence was
cut into chunks or whether it was cropped and grown again: positions come in blocks of 64; a
query sees its own block in float and everything before it quantized. A block is quantized once,
when it is complete. Chunks of another size still round their sums differently, and a number that
lies between two steps may then fall to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch.nn.functional import pad

from assistant.core.attention import Part, attend, merge
from assistant.core.cache.layer import CroppableLayer
from assistant.core.cache.packed import Int4Keys, Int4Values, Int8, Packed
from assistant.core.formats import KV_BLOCK, TAIL_BLOCK

SEGMENT, CARD_SEGMENT = 512, 4096
"""Positions that are widened at once: what attention reads of them stays in a CPU's cache. A card
wants fewer and larger steps: 32 heads of 96 in bfloat16 are 25 MB."""


@dataclass(slots=True)
class _Tail:
    """Float keys and values [1, H, 128, D] of the positions ``start`` (of a block) to ``end``."""

    start: int
    end: int
    keys: torch.Tensor
    values: torch.Tensor

    def to(self, device: torch.device) -> _Tail:
        return _Tail(self.start, self.end, self.keys.to(device), self.values.to(device))

    def clone(self) -> _Tail:
        return _Tail(self.start, self.end, self.keys.clone(), self.values.clone())

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes


class QuantizedLayer(CroppableLayer):
    """One decoder layer in few bits; ``length`` positions are in use.

    Quantized are all complete blocks; in float the block that is not complete and the one
    before it, so that what was appended last can be taken back.
    """

    _packings: ClassVar[tuple[type[Int8 | Int4Keys], type[Int8 | Int4Values]]]

    def __init__(self) -> None:
        super().__init__()
        self._keys: Packed
        self._values: Packed
        self._before: _Tail | None = None  # the tail before the last chunk
        self._cleared: Packed | None = None  # beyond whose positions no number is a NaN

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take dtype, device and shape from the first keys and values."""
        B, H, _, D = key_states.shape
        keys, values = self._packings
        self._keys, self._values = keys.empty(key_states), values.empty(value_states)
        shape = (B, H, 2 * TAIL_BLOCK, D)
        self._tail = _Tail(0, 0, key_states.new_zeros(shape), key_states.new_zeros(shape))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [1, H, S, D]; returns everything widened, the newest positions in float.

        transformers' interface; :meth:`attend` is what keeps the queries of one chunk apart.
        """
        border = _border(self.length)
        keys, values = self._append(key_states, value_states)
        return (
            torch.cat((self._keys.widened(0, border, keys.dtype), keys), dim=2),
            torch.cat((self._values.widened(0, border, keys.dtype), values), dim=2),
        )

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Append ``k``, ``v`` [1, H, S, D]; returns the attention of ``q`` over all, [1, H, S, D].

        Every query sees its own block in float and what is before it quantized.
        """
        border, S = _border(self.length), q.shape[2]
        keys, values = self._append(k, v)
        if S == 1:
            return self._attend_one(q, border, keys, values)
        part = self._within_chunk(q, border, keys, values)
        return self._with_past(q, border, part)

    def place_of_next(self) -> tuple[int, ...]:
        """Return where in the tail :meth:`attend_fixed` will write, and where its block begins."""
        tail, border = self._tail, _border(self.length)
        if self._cleared is not self._values:  # a mask hides any number, but not NaN
            for packed in (self._keys, self._values):
                packed.clear(border)
            self._cleared = self._values
        return self.length - tail.start, border - tail.start

    @property
    def places(self) -> tuple[torch.Tensor, ...]:
        """All that :meth:`attend_fixed` reads and writes."""
        return *self._keys.parts, *self._values.parts, self._tail.keys, self._tail.values

    def attend_fixed(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, where: torch.Tensor
    ) -> torch.Tensor:
        """Attend with one query over the whole capacity and the whole tail, masked.

        ``where`` [3] is its position and what :meth:`place_of_next` returned.
        """
        tail = self._tail
        at, place, own = where[:1], where[1:2], where[2:]
        tail.keys.index_copy_(2, place, k)
        tail.values.index_copy_(2, place, v)
        capacity = self._keys.capacity
        numbers = torch.arange(max(capacity, 2 * TAIL_BLOCK), device=where.device)
        recent = numbers[: 2 * TAIL_BLOCK]
        seen = torch.cat(
            (numbers[:capacity] < at - place + own, (own <= recent) & (recent <= place))
        )
        return self._attend_one(q, capacity, tail.keys, tail.values, seen)

    def took_next(self) -> None:
        """Count the position that :meth:`attend_fixed` wrote; quantize the block that it ends."""
        tail = self._tail
        self._before = None
        self.length = tail.end = end = self.length + 1
        border = end - TAIL_BLOCK
        if end % TAIL_BLOCK:
            return
        self._grow(end)
        own = slice(border - tail.start, end - tail.start)
        for packed, states in ((self._keys, tail.keys), (self._values, tail.values)):
            packed.write(border, states[:, :, own])
            if own.start:
                states[:, :, :TAIL_BLOCK] = states[:, :, own]
        tail.start = border

    def _attend_one(
        self,
        q: torch.Tensor,
        border: int,
        keys: torch.Tensor,
        values: torch.Tensor,
        seen: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attend over ``border`` quantized positions and ``keys``, with one softmax.

        ``seen`` are those that the query sees, [border + keys].
        """
        pieces = _pieces(border, q)
        scores = q.new_empty(q.shape[1], 1, border + keys.shape[2])
        scaled = q[0] * q.shape[-1] ** -0.5  # [H, 1, D]
        for piece in pieces:
            scores[..., piece] = self._scores(scaled, piece)
        scores[..., border:] = torch.bmm(scaled, keys[0].mT)
        if seen is not None:
            scores.masked_fill_(~seen, float("-inf"))
        shares = scores.softmax(-1)
        out = torch.bmm(shares[..., border:], values[0])
        for piece in pieces:
            self._add_values(out, shares[..., piece], piece)
        return out[None]

    def _scores(self, q: torch.Tensor, piece: slice) -> torch.Tensor:
        """``q`` [H, 1, D] over quantized keys, [H, 1, positions]."""
        return torch.bmm(q, self._keys.widened(piece.start, piece.stop, q.dtype)[0].mT)

    def _add_values(self, out: torch.Tensor, shares: torch.Tensor, piece: slice) -> None:
        """Add quantized values, as much as ``shares`` [H, 1, positions] says, to ``out``."""
        out.baddbmm_(shares, self._values.widened(piece.start, piece.stop, out.dtype)[0])

    def _with_past(self, q: torch.Tensor, border: int, part: Part) -> torch.Tensor:
        for piece in _pieces(border, q):
            part = merge(part, self._over_quantized(q, piece.start, piece.stop))
        return part[0]

    def _over_quantized(self, q: torch.Tensor, start: int, end: int) -> Part:
        keys = self._keys.widened(start, end, q.dtype)
        return attend(q, keys, self._values.widened(start, end, q.dtype))

    def _within_chunk(
        self, q: torch.Tensor, border: int, keys: torch.Tensor, values: torch.Tensor
    ) -> Part:
        """Attend with the newest queries over ``keys``, ``values`` from ``border`` on, in float.

        Each over its own block, and over the blocks between ``border`` and that one, which are
        quantized by now.
        """
        B, H, K, D = keys.shape
        S, blocks = q.shape[2], -(-K // TAIL_BLOCK)
        before, after = K - S, blocks * TAIL_BLOCK - K

        def blocked(states: torch.Tensor, before: int = 0) -> torch.Tensor:
            padded = pad(states, (0, 0, before, after))
            return padded.view(H, blocks, TAIL_BLOCK, D).transpose(0, 1)

        assert B == 1
        out, lse = attend(blocked(q, before), blocked(keys), blocked(values), causal=True)
        out = out.transpose(0, 1).reshape(1, H, -1, D)[:, :, before:K]
        lse = lse.transpose(0, 1).reshape(1, H, -1)[:, :, before:K]
        parts = []
        for number in range(blocks):
            first = max(number * TAIL_BLOCK - before, 0)
            last = min((number + 1) * TAIL_BLOCK - before, S)
            part = out[:, :, first:last], lse[:, :, first:last]
            if number:
                end = border + number * TAIL_BLOCK
                part = merge(part, self._over_quantized(q[:, :, first:last], border, end))
            parts.append(part)
        return torch.cat([o for o, _ in parts], dim=2), torch.cat([e for _, e in parts], dim=2)

    def _append(self, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Append; return the float keys and values from the block of the first new position on."""
        if not self.is_initialized:
            self.lazy_initialization(k, v)
        past, end, tail = self.length, self.length + k.shape[2], self._tail
        border, complete = _border(past), _border(end)
        own = slice(border - tail.start, past - tail.start)
        self._before = (
            _Tail(tail.start, past, tail.keys.clone(), tail.values.clone())
            if (k.shape[2] > 1)
            else None
        )
        if complete == border:
            new = slice(past - tail.start, end - tail.start)
            tail.keys[:, :, new], tail.values[:, :, new] = k, v
            keys = tail.keys[:, :, own.start : new.stop]
            values = tail.values[:, :, own.start : new.stop]
        else:
            keys = torch.cat((tail.keys[:, :, own], k), dim=2)
            values = torch.cat((tail.values[:, :, own], v), dim=2)
            self._grow(complete)
            self._keys.write(border, keys[:, :, : complete - border])
            self._values.write(border, values[:, :, : complete - border])
            kept = keys.shape[2] - (complete - TAIL_BLOCK - border)
            tail.start = complete - TAIL_BLOCK
            tail.keys[:, :, :kept] = keys[:, :, -kept:]
            tail.values[:, :, :kept] = values[:, :, -kept:]
        self.length = tail.end = end
        return keys, values

    def _grow(self, needed: int) -> None:
        used = self._values.capacity  # grown last: memory may run out between the two
        if needed > used:
            capacity = -(-max(needed, self.reserved) // KV_BLOCK) * KV_BLOCK
            self._keys = self._keys.resized(capacity, used)
            self._values = self._values.resized(capacity, used)

    def reachable(self, length: int) -> int:
        """Return how many of the first ``length`` positions a crop can keep."""
        if length == self.length or (self.is_initialized and self._tail.start <= length):
            return length
        if self._before is not None and self._before.start <= length <= self._before.end:
            return length
        return _border(length)

    def crop(self, length: int) -> None:
        """Forget everything beyond the first ``length`` positions, which are reachable."""
        if length == self.length:
            return
        if length < self._tail.start:
            before = self._before
            if before is not None and before.start <= length <= before.end:
                self._tail = before
            else:
                self._tail.start = length
        self._before = None
        self.length = self._tail.end = length

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated, used or not."""
        if not self.is_initialized:
            return 0
        packed = sum(part.nbytes for part in (*self._keys.parts, *self._values.parts))
        tails = sum(tail.nbytes for tail in (self._tail, self._before) if tail is not None)
        return packed + tails

    def to(self, device: torch.device) -> None:
        """Move to ``device``."""
        self._before = None
        if self.is_initialized:
            self._keys, self._values = self._keys.to(device), self._values.to(device)
            self._tail = self._tail.to(device)

    def copy(self, length: int) -> Self:
        """Copy the first ``length`` positions, which are reachable."""
        other = type(self)()
        if self.is_initialized:
            border = _border(length)
            other._keys = self._keys.resized(border, border)
            other._values = self._values.resized(border, border)
            other._tail = self._tail.clone()
            other._before = self._before.clone() if self._before is not None else None
            other.length, other.is_initialized = self.length, True
            other.crop(length)
        return other


class Int8Layer(QuantizedLayer):
    """A quarter of float32, half of bfloat16; close to float."""

    _packings = Int8, Int8

    # The scales of keys are applied to scores and those of values to shares, because that is one
    # product a position instead of one a number.

    def _scores(self, q: torch.Tensor, piece: slice) -> torch.Tensor:
        numbers, scales = (part[0, :, piece] for part in self._keys.parts)
        return torch.bmm(q, numbers.to(q.dtype).mT).mul_(scales.mT)

    def _add_values(self, out: torch.Tensor, shares: torch.Tensor, piece: slice) -> None:
        numbers, scales = (part[0, :, piece] for part in self._values.parts)
        out.baddbmm_(shares.mul_(scales.mT), numbers.to(out.dtype))


class Int4Layer(QuantizedLayer):
    """An eighth of float32 and some; for contexts that nothing else holds."""

    _packings = Int4Keys, Int4Values


def _pieces(end: int, like: torch.Tensor) -> list[slice]:
    """Cut the positions up to ``end`` into what is widened at once on the device of ``like``."""
    size = SEGMENT if like.is_cpu else CARD_SEGMENT
    return [slice(at, min(at + size, end)) for at in range(0, end, size)]


def _border(length: int) -> int:
    """Return the first position of the block of position ``length``."""
    return length // TAIL_BLOCK * TAIL_BLOCK
