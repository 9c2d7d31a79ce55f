"""A CUDA graph of the eager step, without a compiler: the other way to make a token fast.

A :data:`assistant.core.cuda.Compiler` for :class:`assistant.core.decode.Decoder`: recorded in a
fraction of a second, where compiling 32 layers takes many; its small kernels are not fused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from assistant.core.cuda import Step

Rotation = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class _Recorded:
    """A graph, the places that it reads its arguments from and the one that it writes."""

    graph: torch.cuda.CUDAGraph
    hidden: torch.Tensor
    rotation: Rotation
    position: torch.Tensor
    out: torch.Tensor


def capture_graphs(step: Step) -> Step:
    """Record ``step`` for the cache that it is called with, again when its tensors are others."""
    recorded: dict[Any, _Recorded] = {}

    def run(
        hidden: torch.Tensor,
        rotation: Rotation,
        position: torch.Tensor,
        keys: list[torch.Tensor],
        values: list[torch.Tensor],
    ) -> torch.Tensor:
        places = (keys[0].shape, *(states.data_ptr() for states in (*keys, *values)))
        if places not in recorded:
            recorded.clear()
            recorded[places] = _record(step, hidden, rotation, position, keys, values)
        one = recorded[places]
        one.hidden.copy_(hidden)
        one.position.copy_(position)
        for place, new in zip(one.rotation, rotation, strict=True):
            place.copy_(new)
        one.graph.replay()
        return one.out

    return run


def _record(
    step: Step,
    hidden: torch.Tensor,
    rotation: Rotation,
    position: torch.Tensor,
    keys: list[torch.Tensor],
    values: list[torch.Tensor],
) -> _Recorded:
    held = hidden.clone(), (rotation[0].clone(), rotation[1].clone()), position.clone()
    beside, current = torch.cuda.Stream(), torch.cuda.current_stream()
    beside.wait_stream(current)
    with torch.cuda.stream(beside):
        step(*held, keys, values)  # libraries take their workspaces; written twice is written once
    current.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step(*held, keys, values)
    return _Recorded(graph, *held, out)
