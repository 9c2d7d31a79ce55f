"""One token at a time on CUDA: a compiled step with static shapes, replayed as a CUDA graph.

Launching a kernel costs as much as a small kernel takes; a graph launches the whole step at once.
Attention runs over the whole capacity of the cache under a mask of one row, so
that shapes stay the same from token to token. A cache that grows, or another
conversation's, is recorded again. Never run on a GPU by us; its arithmetic is
tested on the CPU, uncompiled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from assistant.core.cache.kv_cache import KVCache
from assistant.core.layers import DecoderLayers, layer_pass
from assistant.families.runtime import VisionLanguageModel

Step = Callable[..., torch.Tensor]
Compiler = Callable[[Step], Step]


class GraphStep:
    """The step for one token over a float cache that is not empty."""

    def __init__(
        self, model: VisionLanguageModel, decoder: DecoderLayers, compiler: Compiler
    ) -> None:
        self._model, self._decoder = model, decoder
        self._run = compiler(self._one_token)

    def __call__(self, embedding: torch.Tensor, cache: KVCache) -> torch.Tensor:
        """Run ``embedding`` [1, hidden] as :func:`assistant.core.decode.prefill` does."""
        at = cache.length
        for layer in cache.layers:
            layer.grow(at + 1)
            for states in (layer.keys, layer.values):
                if getattr(states, "_dynamo_static_input_type", None) is None:
                    torch._dynamo.mark_static_address(states, guard=False)
                    states[:, :, at:] = 0  # a mask hides any number, but not NaN
        position = torch.tensor([at], device=embedding.device)
        rotation = self._model.rotation(position, cache.regime, embedding.dtype)
        keys = [layer.keys for layer in cache.layers]
        values = [layer.values for layer in cache.layers]
        hidden = self._run(embedding, rotation, position, keys, values)
        for layer in cache.layers:
            layer.length = at + 1
        return hidden.clone()  # the graph writes its output to the same place every time

    def _one_token(
        self,
        hidden: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        position: torch.Tensor,
        keys: list[torch.Tensor],
        values: list[torch.Tensor],
    ) -> torch.Tensor:
        seen = torch.arange(keys[0].shape[2], device=position.device) <= position  # [capacity]
        for layer, k, v in zip(self._decoder.layers, keys, values, strict=True):
            hidden = layer_pass(layer, hidden, rotation, _Static(k, v, position, seen))
        return self._decoder.norm(hidden)


@dataclass(slots=True)
class _Static:
    """One layer's whole capacity, [1, H, capacity, D], written at ``position`` [1]."""

    keys: torch.Tensor
    values: torch.Tensor
    position: torch.Tensor
    seen: torch.Tensor

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        self.keys.index_copy_(2, self.position, k)
        self.values.index_copy_(2, self.position, v)
        return scaled_dot_product_attention(q, self.keys, self.values, attn_mask=self.seen[None])


def compile_graphs(step: Step) -> Step:
    """Compile ``step`` to CUDA graphs."""
    compiled: Any = torch.compile(step, mode="reduce-overhead", fullgraph=True)
    return compiled  # type: ignore[no-any-return]
