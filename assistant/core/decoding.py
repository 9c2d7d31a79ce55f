"""Prefill and decode: embeddings in, logits out, keys and values into the cache.

On a CPU, and wherever the cache is quantized, the layers are computed here, from transformers' own
modules and weights but without what its forward pass costs per layer and token:
masks, copies of the cache, hooks. On CUDA with a float cache a prefill runs transformers' layers,
which know flash-attn, and a single token the compiled step of
:mod:`assistant.core.compiled`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.functional import rms_norm, silu

from assistant.core.cache import KVCache
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime


def prefill(
    model: Phi3VForCausalLM,
    embeddings: torch.Tensor,
    cache: KVCache,
    between_layers: Callable[[], None] | None = None,
) -> torch.Tensor:
    """Run ``embeddings`` [S, hidden] through the decoder and into ``cache``.

    Returns the last hidden states [S, hidden], normed. Positions follow those
    that are cached, in the cache's regime. Exact up to kernel rounding: chunks
    of different sizes sum in different orders. ``between_layers`` may raise to
    end a long pass; the cache then has to be cropped to where it was. It is not
    called where transformers' layers run.
    """
    config = model.config
    on_cpu = embeddings.device.type == "cpu"
    grouped = config.num_key_value_heads != config.num_attention_heads
    if grouped or (cache.kind == "float" and not on_cpu):
        hidden: torch.Tensor = model.model(embeddings[None], past_key_values=cache)
        return hidden[0]
    past, S = cache.length, embeddings.shape[0]
    positions = torch.arange(past, past + S, device=embeddings.device)
    rotation = rotation_at(model, positions, cache.regime, embeddings.dtype)
    hidden, parts = embeddings, parts_of(model)
    for layer, cached in zip(parts.layers, cache.layers, strict=True):
        if between_layers is not None:
            between_layers()
        hidden = layer_pass(layer, hidden, rotation, cached)
    if S == 1 and on_cpu and cache.kind == "float":
        _lay_out_one_layer(cache)
    return parts.norm(hidden)


def decode_one_token(model: Phi3VForCausalLM, token: int, cache: KVCache) -> torch.Tensor:
    """Feed ``token`` after what is cached; returns the logits [vocab] that follow, float32."""
    embed = model.model.embed_tokens
    embedding = embed(torch.tensor([token], device=embed.weight.device))
    return logits_of(model, prefill(model, embedding, cache))[0]


def logits_of(model: Phi3VForCausalLM, hidden: torch.Tensor) -> torch.Tensor:
    """Last hidden states [S, hidden] -> logits [S, vocab], float32."""
    logits: torch.Tensor = model.lm_head(hidden)
    return logits.float()


def _lay_out_one_layer(cache: KVCache) -> None:
    """Change one more layer over to the layout for decoding: all at once would be a pause."""
    for layer in cache.layers:
        if not layer.by_channel:
            layer.lay_out(by_channel=True)
            return


Rows = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Layer:
    """What a pass takes of one Phi3DecoderLayer: functions of [S, K] -> [S, N]."""

    input_norm: Rows
    qkv: Rows
    o: Rows
    post_norm: Rows
    gate_up: Rows
    down: Rows


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pass takes of a model, found once.

    A layer's weights leave nothing else in the processor's caches; looking things up in modules
    then takes 0.1 ms a layer.
    """

    layers: list[Layer]
    norm: Rows


_parts: WeakKeyDictionary[Phi3VForCausalLM, Parts] = WeakKeyDictionary()


def parts_of(model: Phi3VForCausalLM) -> Parts:
    """The decoder of ``model``, whose weights stay where they are after its first pass."""
    found = _parts.get(model)
    if found is None:
        layers = [_layer(module) for module in model.model.layers]
        found = _parts[model] = Parts(layers, _norm(model.model.norm))
    return found


def _layer(module: Any) -> Layer:
    attention, mlp = module.self_attn, module.mlp
    return Layer(
        input_norm=_norm(module.input_layernorm),
        qkv=_product(attention.qkv_proj),
        o=_product(attention.o_proj),
        post_norm=_norm(module.post_attention_layernorm),
        gate_up=_product(mlp.gate_up_proj),
        down=_product(mlp.down_proj),
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


def rotation_at(
    model: Phi3VForCausalLM, positions: torch.Tensor, regime: Regime, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [S, 1, head_dim] of ``positions`` [S], the first half negated."""
    return model.model.rope.half_negated(positions[:, None], regime, dtype)


def layer_pass(
    layer: Layer, hidden: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], cached: Any
) -> torch.Tensor:
    """One decoder layer: [S, hidden] -> [S, hidden]; ``cached.attend`` knows the past."""
    S = len(hidden)
    cos, sin = rotation
    D = cos.shape[-1]
    qkv = layer.qkv(layer.input_norm(hidden)).view(S, -1, D)
    H = qkv.shape[1] // 3  # q heads, then k heads, then v heads
    qk = qkv.narrow(1, 0, 2 * H)
    qk = torch.addcmul(qk * cos, qk.roll(D // 2, -1), sin).transpose(0, 1).unsqueeze(0)
    v = qkv.narrow(1, 2 * H, H).transpose(0, 1).unsqueeze(0)  # [1, H, S, D]
    out = cached.attend(qk.narrow(1, 0, H), qk.narrow(1, H, H), v)
    hidden = layer.o(out.transpose(1, 2).reshape(S, -1)).add_(hidden)
    gate_up = layer.gate_up(layer.post_norm(hidden))
    width = gate_up.shape[1] // 2
    gate = silu(gate_up.narrow(1, 0, width))
    return layer.down(gate.mul_(gate_up.narrow(1, width, width))).add_(hidden)
