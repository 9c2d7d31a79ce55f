"""One token at a time on CUDA: a compiled step with static shapes, replayed as a CUDA graph.

Launching a kernel costs as much as a small one takes; a graph launches the
whole step at once. Attention runs over the whole capacity of the cache under a mask of one row, so
that shapes stay the same from token to token. A cache that grows, or another
conversation's, is recorded anew. Never run on a GPU by us; its arithmetic is
tested on the CPU, uncompiled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from assistant.core.cache import KVCache
from assistant.core.decode import layer_pass, parts_of, prefill
from assistant.core.out_of_memory import is_out_of_memory
from assistant.families.runtime import VisionLanguageModel

_log = logging.getLogger(__name__)

Step = Callable[..., torch.Tensor]


class Decoder:
    """Runs embeddings through a model: a prompt by :func:`prefill`, a token by the compiled step.

    ``compiler`` makes a function quick; None leaves everything to :func:`prefill`,
    and so does a compilation that fails (told once, in the log).
    """

    def __init__(
        self, model: VisionLanguageModel, compiler: Callable[[Step], Step] | None = None
    ) -> None:
        self._model = model
        self._parts = parts_of(model)
        self._step = compiler(self._one_token) if compiler is not None else None

    @classmethod
    def for_device(cls, model: VisionLanguageModel) -> Decoder:
        """Compiled where the model lives on CUDA."""
        on_cuda = model.embed_tokens.weight.device.type == "cuda"
        ours = on_cuda and model.fused_layers is not None
        return cls(model, _cuda_graphs if ours else None)

    def __call__(
        self,
        embeddings: torch.Tensor,
        cache: KVCache,
        between_layers: Callable[[], None] | None = None,
    ) -> torch.Tensor:
        """As :func:`assistant.core.decode.prefill`."""
        ready = self._step is not None and cache.kind == "float" and cache.length > 0
        if len(embeddings) == 1 and ready:
            try:
                return self._compiled(embeddings, cache)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                _log.warning("decoding is not compiled: %s", str(error).strip().splitlines()[:1])
                self._step = None
        return prefill(self._model, embeddings, cache, between_layers)

    def _compiled(self, embedding: torch.Tensor, cache: KVCache) -> torch.Tensor:
        assert self._step is not None
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
        hidden = self._step(embedding, rotation, position, keys, values)
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
        assert self._parts is not None
        for index, layer in enumerate(self._parts.layers):
            cached = _Static(keys[index], values[index], position, seen)
            hidden = layer_pass(layer, hidden, rotation, cached)
        return self._parts.norm(hidden)


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


def _cuda_graphs(step: Step) -> Step:
    compiled: Any = torch.compile(step, mode="reduce-overhead", fullgraph=True)
    return compiled  # type: ignore[no-any-return]
