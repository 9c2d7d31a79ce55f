"""Keys and values in 8 or 4 bits: written in whole blocks of positions, widened in pieces."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

import torch

from assistant.core.formats import TAIL_BLOCK, int4_group

_FP16 = torch.finfo(torch.float16)
_LEAST_STEP = 2.0**-24
"""The smallest number of float16: vectors that are all the same have a step of 0."""


class Packed(Protocol):
    """States [1, H, capacity, D], packed. Positions come in whole blocks of TAIL_BLOCK."""

    parts: tuple[torch.Tensor, ...]
    """The allocated tensors; the third dimension is positions, or blocks of them."""

    @property
    def capacity(self) -> int:
        """Positions that have room."""
        ...

    def write(self, start: int, states: torch.Tensor) -> None:
        """Quantize [1, H, n, D] to the positions from ``start`` on; both are whole blocks."""
        ...

    def widened(self, start: int, end: int, dtype: torch.dtype) -> torch.Tensor:
        """[1, H, end - start, D] in ``dtype``; both ends are whole blocks."""
        ...

    def resized(self, capacity: int, used: int) -> Self:
        """Copy the first ``used`` positions, with room for ``capacity``, whole blocks."""
        ...

    def clear(self, start: int) -> None:
        """Write zeros from position ``start`` on, a whole block."""
        ...

    def to(self, device: torch.device) -> Self:
        """Copy to ``device``."""
        ...


class _Parts:
    """Base of all packings: tensors whose third dimension grows with the positions."""

    _each: ClassVar[tuple[int, ...]]
    """Positions for one entry of the third dimension of each part."""

    def __init__(self, *parts: torch.Tensor) -> None:
        self.parts = parts

    @property
    def capacity(self) -> int:
        return self.parts[0].shape[2]

    def resized(self, capacity: int, used: int) -> Self:
        resized = []
        for old, each in zip(self.parts, self._each, strict=True):
            B, H, _, D = old.shape
            new = old.new_empty(B, H, capacity // each, D)
            new[:, :, : used // each] = old[:, :, : used // each]
            resized.append(new)
        return type(self)(*resized)

    def clear(self, start: int) -> None:
        for part, each in zip(self.parts, self._each, strict=True):
            part[:, :, start // each :] = 0

    def to(self, device: torch.device) -> Self:
        return type(self)(*(part.to(device) for part in self.parts))


class Int8(_Parts):
    """8 bits, symmetric for each vector: the error is at most 1/254 of its largest number."""

    _each = 1, 1

    @classmethod
    def empty(cls, like: torch.Tensor) -> Int8:
        """Room for nothing yet; heads, size and device are those of ``like`` [1, H, S, D]."""
        B, H, _, D = like.shape
        return cls(
            like.new_empty(B, H, 0, D, dtype=torch.int8),
            like.new_empty(B, H, 0, 1, dtype=torch.float32),
        )

    def write(self, start: int, states: torch.Tensor) -> None:
        numbers, scales = self.parts
        where = slice(start, start + states.shape[2])
        scale = states.abs().amax(-1, keepdim=True).float().clamp_(min=1e-30) / 127
        numbers[:, :, where] = (states / scale).round_().to(torch.int8)
        scales[:, :, where] = scale

    def widened(self, start: int, end: int, dtype: torch.dtype) -> torch.Tensor:
        numbers, scales = self.parts
        return numbers[:, :, start:end].to(dtype).mul_(scales[:, :, start:end])


class Int4Values(_Parts):
    """4 bits between the least and the largest number of each group of a vector's numbers."""

    _each = 1, 1, 1

    @classmethod
    def empty(cls, like: torch.Tensor) -> Int4Values:
        """As :meth:`Int8.empty`."""
        B, H, _, D = like.shape
        groups = D // int4_group(D)
        return cls(
            like.new_empty(B, H, 0, D // 2, dtype=torch.uint8),
            like.new_empty(B, H, 0, groups, dtype=torch.float16),
            like.new_empty(B, H, 0, groups, dtype=torch.float16),
        )

    def write(self, start: int, states: torch.Tensor) -> None:
        packed, steps, lows = self.parts
        B, H, S, D = states.shape
        where = slice(start, start + S)
        grouped = states.reshape(B, H, S, -1, int4_group(D))
        numbers, step, low = _four_bits(grouped, dim=-1)
        packed[:, :, where] = _pack(numbers.view(B, H, S, D))
        steps[:, :, where], lows[:, :, where] = step.squeeze(-1), low.squeeze(-1)

    def widened(self, start: int, end: int, dtype: torch.dtype) -> torch.Tensor:
        packed, steps, lows = (part[:, :, start:end] for part in self.parts)
        numbers = _unpack(packed, dtype)
        grouped = numbers.view(*steps.shape, int4_group(numbers.shape[-1]))
        grouped.mul_(steps[..., None]).add_(lows[..., None])
        return numbers


class Int4Keys(_Parts):
    """4 bits between the least and the largest number of each channel within a block.

    Keys have channels that are large at every position, values have not: keys by channel, values
    by token keep most of the precision (Liu et al. 2024, "KIVI").
    """

    _each = 1, TAIL_BLOCK, TAIL_BLOCK

    @classmethod
    def empty(cls, like: torch.Tensor) -> Int4Keys:
        """As :meth:`Int8.empty`."""
        B, H, _, D = like.shape
        return cls(
            like.new_empty(B, H, 0, D // 2, dtype=torch.uint8),
            like.new_empty(B, H, 0, D, dtype=torch.float16),
            like.new_empty(B, H, 0, D, dtype=torch.float16),
        )

    def write(self, start: int, states: torch.Tensor) -> None:
        packed, steps, lows = self.parts
        B, H, S, D = states.shape
        blocks = slice(start // TAIL_BLOCK, (start + S) // TAIL_BLOCK)
        numbers, step, low = _four_bits(states.reshape(B, H, -1, TAIL_BLOCK, D), dim=-2)
        packed[:, :, start : start + S] = _pack(numbers.view(B, H, S, D))
        steps[:, :, blocks], lows[:, :, blocks] = step.squeeze(-2), low.squeeze(-2)

    def widened(self, start: int, end: int, dtype: torch.dtype) -> torch.Tensor:
        packed, steps, lows = self.parts
        blocks = slice(start // TAIL_BLOCK, end // TAIL_BLOCK)
        numbers = _unpack(packed[:, :, start:end], dtype)
        B, H, _, D = numbers.shape
        by_block = numbers.view(B, H, (end - start) // TAIL_BLOCK, TAIL_BLOCK, D)
        by_block.mul_(steps[:, :, blocks, None]).add_(lows[:, :, blocks, None])
        return numbers


def _four_bits(states: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(numbers 0..15 as uint8, step, low) along ``dim``, kept; step and low in float16."""
    low, high = states.aminmax(dim=dim, keepdim=True)
    low = low.clamp(_FP16.min, _FP16.max).to(torch.float16)
    step = ((high - low) / 15).clamp(max=_FP16.max).to(torch.float16)
    # what is written is what will be read: rounded with the step and the low that are kept
    divisor = step.to(states.dtype).clamp(min=_LEAST_STEP)
    numbers = ((states - low) / divisor).round_().clamp_(0, 15).to(torch.uint8)
    return numbers, step, low


def _pack(numbers: torch.Tensor) -> torch.Tensor:
    """[..., D] of 0..15 -> [..., D / 2]: the second half of a vector in the upper bits."""
    first, second = numbers.chunk(2, dim=-1)
    return first | (second << 4)


def _unpack(packed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.cat((packed & 15, packed >> 4), dim=-1).to(dtype)
