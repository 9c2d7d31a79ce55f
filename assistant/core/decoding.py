"""Prefill and decode: embeddings in, logits out, keys and values into the cache.

On a CPU, and wherever the cache is quantized, the layers are computed here, from transformers' own
modules and weights but without what its forward pass costs per layer and token:
masks, copies of the cache, hooks. On CUDA with a float cache a prefill runs transformers' layers,
which know flash-attn, and a single token the compiled step of
:mod:`assistant.core.compiled`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
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
    hidden = embeddings
    for layer, cached in zip(model.model.layers, cache.layers, strict=True):
        if between_layers is not None:
            between_layers()
        hidden = layer_pass(layer, hidden, rotation, cached)
    if S == 1 and on_cpu and cache.kind == "float":
        _lay_out_one_layer(cache)
    return normed(model.model.norm, hidden)


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


def rotation_at(
    model: Phi3VForCausalLM, positions: torch.Tensor, regime: Regime, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [S, 1, head_dim] of ``positions`` [S].

    The first half of the sines is negated: x cos + swap_halves(x) sin rotates x.
    """
    cos, sin = model.model.rope(positions[None], regime, dtype)
    first, second = sin[0].chunk(2, dim=-1)
    return cos[0, :, None], torch.cat((-first, second), dim=-1)[:, None]


def layer_pass(
    layer: Any, hidden: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], cached: Any
) -> torch.Tensor:
    """One Phi3DecoderLayer: [S, hidden] -> [S, hidden]; ``cached.attend`` knows the past."""
    S = len(hidden)
    attention, mlp = layer.self_attn, layer.mlp
    cos, sin = rotation
    D = cos.shape[-1]
    qkv = attention.qkv_proj(normed(layer.input_layernorm, hidden)).view(S, -1, D)
    H = qkv.shape[1] // 3  # q heads, then k heads, then v heads
    qk = qkv.narrow(1, 0, 2 * H)
    qk = torch.addcmul(qk * cos, qk.roll(D // 2, -1), sin).transpose(0, 1)[None]  # [1, 2H, S, D]
    v = qkv.narrow(1, 2 * H, H).transpose(0, 1)[None]
    out = cached.attend(qk.narrow(1, 0, H), qk.narrow(1, H, H), v)
    hidden = attention.o_proj(out[0].transpose(0, 1).reshape(S, -1)).add_(hidden)
    gate, up = mlp.gate_up_proj(normed(layer.post_attention_layernorm, hidden)).chunk(2, dim=-1)
    down: torch.Tensor = mlp.down_proj(silu(gate).mul_(up))
    return down.add_(hidden)


def normed(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """A Phi3RMSNorm of ``x`` [S, hidden]. On a CPU in half the steps that torch's own takes there,
    each of which costs more to start than to do for one row.
    """
    weight, eps = norm.weight, norm.variance_epsilon
    if x.dtype not in (torch.float32, torch.float64):
        return rms_norm(x, weight.shape, weight, eps)
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = torch.addcmul(x.new_full((1, 1), eps), length, length, value=1 / x.shape[-1]).rsqrt_()
    return (x * scale).mul_(weight)
