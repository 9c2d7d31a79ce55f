"""Prefill and decode: embeddings in, logits out, keys and values into the cache.

On a CPU, and wherever the cache is quantized, the layers are computed here, from transformers' own
modules and weights but without what its forward pass costs per layer and token:
masks, copies of the cache, hooks. On CUDA with a float cache a prefill runs transformers' layers,
which know flash-attn, and a single token the compiled step of
:mod:`assistant.core.cuda`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.functional import rms_norm, silu

from assistant.core.cache import KVCache
from assistant.core.cpu.rows import (
    RowLayer,
    do_without,
    gated,
    multiply_few,
    rotated,
    row_layers,
)
from assistant.core.out_of_memory import is_out_of_memory
from assistant.core.scratch import KeptMemory
from assistant.families.runtime import VisionLanguageModel


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
    end a long pass; the cache then has to be cropped to where it was. It is not
    called where the family's own layers run.
    """
    on_cpu = embeddings.device.type == "cpu"
    parts = parts_of(model)
    if parts is None or (cache.kind == "float" and not on_cpu):
        return model.hidden_states(embeddings, cache)
    past, S = cache.length, embeddings.shape[0]
    positions = torch.arange(past, past + S, device=embeddings.device)
    rotation = model.rotation(positions, cache.regime, embeddings.dtype)
    hidden = embeddings
    for layer, cached in zip(parts.layers, cache.layers, strict=True):
        if between_layers is not None:
            between_layers()
        hidden = layer_pass(layer, hidden, rotation, cached)
    if S == 1 and on_cpu and cache.kind == "float":
        _lay_out_one_layer(cache)
    return parts.norm(hidden)


def decode_one_token(model: VisionLanguageModel, token: int, cache: KVCache) -> torch.Tensor:
    """Feed ``token`` after what is cached; returns the logits [vocab] that follow, float32."""
    embed = model.embed_tokens
    embedding = embed(torch.tensor([token], device=embed.weight.device))
    return logits_of(model, prefill(model, embedding, cache))[0]


def logits_of(model: VisionLanguageModel, hidden: torch.Tensor) -> torch.Tensor:
    """Last hidden states [S, hidden] -> logits [S, vocab], float32."""
    head: Any = model.lm_head
    if is_compiled(model):  # for one row quicker than torch in float32 too
        one = multiply_few(head.weight, getattr(head, "scales", None), hidden, 1)
        if one is not None:
            return one
    logits: torch.Tensor = head(hidden)
    return logits.float()


def is_compiled(model: VisionLanguageModel) -> bool:
    """Whether single tokens of ``model`` are computed by kernels that have to be compiled."""
    parts = parts_of(model)
    return parts is not None and parts.layers[0].row is not None


@torch.inference_mode()
def prepare(model: VisionLanguageModel, kind: str) -> None:
    """Compile now what the first token, over KV of ``kind``, would wait for: seconds, once.

    What does not compile is done without from then on.
    """
    parts = parts_of(model)
    assert parts is not None, "only the core's own pass has kernels"
    layer, width = parts.layers[0], model.shape.hidden
    cache = KVCache(1, model.regime_of(1), kind)
    try:
        for rows in (2, 1, 1):  # a prompt; a token over either layout
            positions = torch.arange(cache.length, cache.length + rows)
            rotation = model.rotation(positions, cache.regime, torch.float32)
            hidden = layer_pass(layer, torch.zeros(rows, width), rotation, cache.layers[0])
            logits_of(model, hidden[-1:])
            if kind == "float" and rows == 1:
                _lay_out_one_layer(cache)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        do_without(error)
        del _parts[model]


def _lay_out_one_layer(cache: KVCache) -> None:
    """Change one more layer over to the layout for decoding: all at once would be a pause."""
    for layer in cache.layers:
        if not layer.by_channel:
            layer.lay_out(by_channel=True)
            return


Rows = Callable[..., torch.Tensor]


@dataclass(frozen=True, slots=True)
class Layer:
    """What a pass takes of one fused layer: functions of [S, K] -> [S, N].

    With ``row`` the products take an ``out`` as well.
    """

    input_norm: Rows
    qkv: Rows
    o: Rows
    post_norm: Rows
    gate_up: Rows
    down: Rows
    row: RowLayer | None
    """What takes the place of all of them for one token on a CPU."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pass takes of a model, found once.

    A layer's weights leave nothing else in the processor's caches; looking things up in modules
    then takes 0.1 ms a layer.
    """

    layers: list[Layer]
    norm: Rows


_parts: WeakKeyDictionary[VisionLanguageModel, Parts | None] = WeakKeyDictionary()


def parts_of(model: VisionLanguageModel) -> Parts | None:
    """The decoder of ``model``, whose weights stay where they are after its first pass.

    None for a family whose layers are not computed here.
    """
    if model not in _parts:
        modules = model.fused_layers
        if modules is None:
            _parts[model] = None
        else:
            rows = row_layers(modules) or repeat(None, len(modules))
            layers = [_layer(module, row) for module, row in zip(modules, rows, strict=True)]
            _parts[model] = Parts(layers, _norm(model.final_norm))
    return _parts[model]


def _layer(module: Any, row: RowLayer | None) -> Layer:
    attention, mlp = module.self_attn, module.mlp
    return Layer(
        input_norm=_norm(module.input_layernorm),
        qkv=_product(attention.qkv_proj),
        o=_product(attention.o_proj),
        post_norm=_norm(module.post_attention_layernorm),
        gate_up=_product(mlp.gate_up_proj),
        down=_product(mlp.down_proj),
        row=row,
    )


def _product(module: Any) -> Rows:
    """Multiplication with the matrix of ``module``."""
    if type(module) is nn.Linear and module.weight.is_cpu:
        return partial(torch.mm, mat2=module.weight.t())
    forward: Rows = module.forward
    return forward


def _norm(module: Any) -> Rows:
    """A Phi3RMSNorm. In 32 bits x w / sqrt(|x|^2 / n + eps) is computed as
    x (w sqrt(n)) / hypot(|x|, sqrt(n eps)): half the steps that torch's own takes on a CPU, each of
    which costs more to start than to do for one row.
    """
    weight, eps = module.weight.detach(), module.variance_epsilon
    n = len(weight)
    if weight.dtype not in (torch.float32, torch.float64):
        return partial(rms_norm, normalized_shape=weight.shape, weight=weight, eps=eps)
    floor = weight.new_full((1,), math.sqrt(n * eps))
    return partial(_normed, weight=weight * math.sqrt(n), floor=floor)


def _normed(x: torch.Tensor, weight: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    length = torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), floor)
    return (x / length).mul_(weight)


def layer_pass(
    layer: Layer, hidden: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], cached: Any
) -> torch.Tensor:
    """One decoder layer: [S, hidden] -> [S, hidden]; ``cached.attend`` knows the past."""
    S = len(hidden)
    if S == 1 and layer.row is not None:
        return layer.row(hidden, rotation, cached)
    cos, sin = rotation
    D = cos.shape[-1]
    qkv = layer.qkv(layer.input_norm(hidden))
    if layer.row is not None:
        q, k, v = rotated(qkv, cos, sin).unsqueeze(0).chunk(3, 1)  # [1, H, S, D]
    else:
        qkv = qkv.view(S, -1, D)
        H = qkv.shape[1] // 3  # q heads, then k heads, then v heads
        qk = qkv.narrow(1, 0, 2 * H)
        qk = torch.addcmul(qk * cos, qk.roll(D // 2, -1), sin).transpose(0, 1).unsqueeze(0)
        q, k = qk.chunk(2, 1)
        v = qkv.narrow(1, 2 * H, H).transpose(0, 1).unsqueeze(0)
    out = cached.attend(q, k, v)
    hidden = layer.o(out.transpose(1, 2).reshape(S, -1)).add_(hidden)
    normed = layer.post_norm(hidden)
    if layer.row is not None:
        gate_up = layer.gate_up(normed, out=_gate_up.room(S, layer.row.gate_up_width))
        return layer.down(gated(gate_up)).add_(hidden)
    gate, up = layer.gate_up(normed).chunk(2, 1)
    return layer.down(silu(gate).mul_(up)).add_(hidden)


_gate_up = KeptMemory()
"""The largest activation of a layer."""
