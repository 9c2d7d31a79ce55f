"""One token at a time on CUDA: a step with fixed shapes, recorded as a CUDA graph and replayed.

Launching a kernel costs as much as a small kernel takes; a graph launches the whole step at once
(H200, Phi-3's size, bfloat16: 209 tokens/s for 45). Attention runs over the whole capacity of the
cache under a mask of one row, so that shapes stay the same from token to token. A cache that grew,
or another conversation's, is recorded again, in about the time of two eager tokens. No compiler
is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch

from assistant.core.attention import cudnn_allowed
from assistant.core.cache.kv_cache import KVCache
from assistant.core.layers import DecoderLayers, layer_pass
from assistant.families.runtime import VisionLanguageModel

Compute = Callable[[], torch.Tensor]
Record = Callable[[Compute], Compute]
"""Takes what reads and writes fixed places only; returns what does the same again."""


class GraphStep:
    """The step for one token over a cache that is not empty."""

    def __init__(self, model: VisionLanguageModel, decoder: DecoderLayers, record: Record) -> None:
        self._model, self._decoder, self._record = model, decoder, record
        self._places: tuple[object, ...] = ()
        self._held: tuple[torch.Tensor, ...]
        self._replay: Compute

    def __call__(self, embedding: torch.Tensor, cached: KVCache) -> torch.Tensor:
        """Run ``embedding`` [1, hidden] as :func:`assistant.core.decode.prefill` does."""
        at = cached.length
        wheres = [layer.place_of_next() for layer in cached.layers]
        where = torch.tensor([at, *wheres[0]], device=embedding.device)
        given = (embedding, *self._model.rotation(where[:1], cached.regime, embedding.dtype), where)
        tensors = [one for layer in cached.layers for one in layer.places]
        places = tuple((one.data_ptr(), one.shape) for one in tensors)
        if places != self._places:
            self._places = ()  # what fails half-way is not replayed
            self._held = tuple(one.clone() for one in given)
            self._replay = self._record(partial(self._one_token, self._held, cached.layers))
            self._places = places
        else:
            for held, one in zip(self._held, given, strict=True):
                held.copy_(one)
        hidden = self._replay().clone()  # a graph writes its output to the same place every time
        for layer in cached.layers:
            layer.took_next()
        return hidden

    def _one_token(self, held: tuple[torch.Tensor, ...], cached: list[Any]) -> torch.Tensor:
        hidden, cos, sin, where = held
        for layer, states in zip(self._decoder.layers, cached, strict=True):
            hidden = layer_pass(layer, hidden, (cos, sin), _Fixed(states, where))
        return self._decoder.norm(hidden)


class _Fixed:
    """A layer of a cache that writes one position where a tensor says."""

    def __init__(self, layer: Any, where: torch.Tensor) -> None:
        self._layer, self._where = layer, where

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self._layer.attend_fixed(q, k, v, self._where)
        return out


@cache
def _stream() -> torch.cuda.Stream:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


class Recorder:
    """A :data:`Record` by CUDA graphs, of which the newest alone is kept.

    One stream for all, because cuBLAS keeps 64 MiB for each; and one pool, so that a graph is
    recorded into the memory of the one before it.
    """

    def __init__(self) -> None:
        self._stream = _stream()
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, compute: Compute) -> Compute:
        """Run ``compute`` once, then record it."""
        with cudnn_allowed():
            return self._record(compute)

    def _record(self, compute: Compute) -> Compute:
        current = torch.cuda.current_stream()
        pool = self._graph.pool() if self._graph is not None else None
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            compute()  # libraries take their workspaces; what is written twice is written once
        current.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool, self._stream, capture_error_mode="thread_local"):
            out = compute()
        self._graph = graph

        def replay() -> torch.Tensor:
            graph.replay()
            return out

        return replay
