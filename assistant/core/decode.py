"""Prefill and decode: embeddings in, hidden states out, keys and values into the cache.

The ways to compute a layer, the first that applies:

| pass | where | matrices | computed by |
|---|---|---|---|
| one token | CUDA | float, int8, torchao's int4 | ``layers.layer_pass`` in a CUDA graph |
| any, float KV | CUDA, MPS | the same | the family's own layers: flash-attn or SDPA |
| one token | CPU with kernels | float32, 16 bits widened, int8 | one call of ``cpu`` |
| any | CPU, quantized KV | the same, by :mod:`assistant.core.weights` | ``layers.layer_pass`` |

:class:`Decoder` chooses the first, :func:`prefill` the second, ``layer_pass`` between the others.
transformers' own forward pass costs masks, copies of the cache and hooks per layer and token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

from assistant.core.attention import prepare_on_cpu
from assistant.core.cache.kv_cache import KVCache
from assistant.core.cuda import GraphStep, Record, Recorder
from assistant.core.formats import TAIL_BLOCK
from assistant.core.layers import forget_layers, layer_pass, layers_of
from assistant.core.out_of_memory import is_out_of_memory
from assistant.core.weights import MOST_INT8_ROWS
from assistant.families.runtime import VisionLanguageModel

_log = logging.getLogger(__name__)


class Decoder:
    """Runs embeddings through a model, each pass the first way of the table that applies.

    ``record`` makes the step for one token fast; None leaves everything to :func:`prefill`, and
    so does a recording that fails (logged once).
    """

    def __init__(self, model: VisionLanguageModel, record: Record | None = None) -> None:
        self._model = model
        self._step: GraphStep | None = None
        if record is not None and (decoder := layers_of(model)) is not None:
            self._step = GraphStep(model, decoder, record)

    @classmethod
    def for_device(cls, model: VisionLanguageModel) -> Decoder:
        """Make one that records its step where the model is on CUDA."""
        on_cuda = model.embed_tokens.weight.device.type == "cuda"
        return cls(model, Recorder() if on_cuda else None)

    @torch.inference_mode()
    def warm_up(self, cache: KVCache) -> None:
        """Read a prompt and record a token in ``cache``, for the libraries to load their kernels.

        Half a second on an H200, which the first reply would wait.
        """
        weight = self._model.embed_tokens.weight
        rows = weight.new_zeros(TAIL_BLOCK + 1, self._model.shape.hidden)
        for states in (rows, rows[:1]):
            logits_of(self._model, self(states, cache)[-1:])

    def __call__(
        self,
        embeddings: torch.Tensor,
        cache: KVCache,
        between_layers: Callable[[], None] | None = None,
    ) -> torch.Tensor:
        """Compute what :func:`prefill` computes."""
        if self._step is not None and len(embeddings) == 1 and cache.length > 0:
            try:
                return self._step(embeddings, cache)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                _log.warning("decoding is not recorded: %s", str(error).strip().splitlines()[:1])
                self._step = None
        return prefill(self._model, embeddings, cache, between_layers)


def prefill(
    model: VisionLanguageModel,
    embeddings: torch.Tensor,
    cache: KVCache,
    between_layers: Callable[[], None] | None = None,
) -> torch.Tensor:
    """Run ``embeddings`` [S, hidden] through the decoder and into ``cache``.

    Returns the last hidden states [S, hidden], normed. Positions follow those
    that are cached, in the cache's regime. Exact up to kernel rounding: chunks
    of different sizes sum in different orders. ``between_layers`` may raise to
    end a long pass; the cache then has to be cropped to its old length. The family's own
    layers never call it.
    """
    on_cpu = embeddings.device.type == "cpu"
    decoder = layers_of(model)
    if decoder is None or (cache.kind == "float" and not on_cpu):
        return model.hidden_states(embeddings, cache)
    past, S = cache.length, embeddings.shape[0]
    positions = torch.arange(past, past + S, device=embeddings.device)
    rotation = model.rotation(positions, cache.regime, embeddings.dtype)
    hidden = embeddings
    for layer, cached in zip(decoder.layers, cache.layers, strict=True):
        if between_layers is not None:
            between_layers()
        hidden = layer_pass(layer, hidden, rotation, cached)
    if S == 1 and on_cpu and cache.kind == "float":
        _change_one_layout(cache)
    return decoder.norm(hidden)


def decode_one_token(model: VisionLanguageModel, token: int, cache: KVCache) -> torch.Tensor:
    """Append ``token`` to the cache; returns the logits [vocab] that follow, float32."""
    embed = model.embed_tokens
    embedding = embed(torch.tensor([token], device=embed.weight.device))
    return logits_of(model, prefill(model, embedding, cache))[0]


def logits_of(model: VisionLanguageModel, hidden: torch.Tensor) -> torch.Tensor:
    """Last hidden states [S, hidden] -> logits [S, vocab], float32."""
    head: Any = model.lm_head
    decoder = layers_of(model)
    # for one row the kernels are faster than torch in float32 too
    if decoder is not None and decoder.kernels is not None and len(hidden) == 1:
        one = decoder.kernels.multiply(head.weight, getattr(head, "scales", None), hidden)
        if one is not None:
            return one
    logits: torch.Tensor = head(hidden)
    return logits.float()


def is_compiled(model: VisionLanguageModel) -> bool:
    """Whether single tokens of ``model`` are computed by kernels that have to be compiled."""
    decoder = layers_of(model)
    return decoder is not None and decoder.kernels is not None


@torch.inference_mode()
def prepare(model: VisionLanguageModel, kind: str) -> None:
    """Compile the kernels for a prompt and the first token over KV of ``kind``.

    That takes seconds, once a machine.

    If a kernel fails to compile, fall back to torch for the rest of this process.
    """
    decoder = layers_of(model)
    assert decoder is not None, "only the core's own pass has kernels"
    assert decoder.kernels is not None
    prepare_on_cpu()
    layer, width = decoder.layers[0], model.shape.hidden
    cache = KVCache(1, model.regime_of(1), kind)
    try:
        for rows in (MOST_INT8_ROWS + 1, 1, 1):  # a prompt, then a token over either layout
            positions = torch.arange(cache.length, cache.length + rows)
            rotation = model.rotation(positions, cache.regime, torch.float32)
            hidden = layer_pass(layer, torch.zeros(rows, width), rotation, cache.layers[0])
            logits_of(model, hidden[-1:])
            if kind == "float" and rows == 1:
                _change_one_layout(cache)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        decoder.kernels.fail(error)
        forget_layers(model)


def _change_one_layout(cache: KVCache) -> None:
    """Change one layer to the layout for decoding, because all at once would be a pause."""
    for layer in cache.layers:
        if not layer.by_channel:
            layer.lay_out(by_channel=True)
            return
