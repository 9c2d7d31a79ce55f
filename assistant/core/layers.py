"""A decoder's layers as functions of rows [S, K] -> [S, N], and the pass over one of them."""

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

from assistant.core.cpu.acceleration import accelerate
from assistant.core.kernels import Kernels, TokenLayer
from assistant.core.scratch import Scratch
from assistant.families.runtime import VisionLanguageModel

Rows = Callable[..., torch.Tensor]

_normed, _wide = Scratch(), Scratch()
"""Rows that a layer multiplies, and the largest products: queries, keys and values, gate and up."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One fused layer. With ``kernels`` the products take an ``out`` as well."""

    input_norm: Rows
    qkv: Rows
    o: Rows
    post_norm: Rows
    gate_up: Rows
    down: Rows
    qkv_width: int
    """Numbers of a row's queries, keys and values."""
    mlp: int
    """Numbers of a gate."""
    kernels: Kernels | None
    token: TokenLayer | None
    """The kernel that computes the whole layer for one token."""


@dataclass(frozen=True, slots=True)
class DecoderLayers:
    """All layers of a model, looked up once.

    A layer's weights leave nothing else in the processor's caches, so that looking things up in
    modules takes 0.1 ms a layer.
    """

    layers: list[Layer]
    norm: Rows
    kernels: Kernels | None


_known: WeakKeyDictionary[VisionLanguageModel, DecoderLayers | None] = WeakKeyDictionary()


def layers_of(model: VisionLanguageModel) -> DecoderLayers | None:
    """Return the layers of ``model``, whose weights stay in place after its first pass.

    None for a family whose layers are not computed here.
    """
    if model not in _known:
        kernels, modules = accelerate(model), model.fused_layers
        if modules is None:
            _known[model] = None
        else:
            tokens = kernels.token_layers if kernels is not None else None
            whole = kernels if tokens is not None else None
            pairs = zip(modules, tokens or repeat(None, len(modules)), strict=True)
            layers = [_layer(module, whole, token) for module, token in pairs]
            _known[model] = DecoderLayers(layers, _norm(model.final_norm), whole)
    return _known[model]


def forget_layers(model: VisionLanguageModel) -> None:
    """Look up the layers of ``model`` again at its next pass."""
    _known.pop(model, None)


def _layer(module: Any, kernels: Kernels | None, token: TokenLayer | None) -> Layer:
    attention, mlp = module.self_attn, module.mlp
    return Layer(
        input_norm=_norm(module.input_layernorm),
        qkv=_product(attention.qkv_proj),
        o=_product(attention.o_proj),
        post_norm=_norm(module.post_attention_layernorm),
        gate_up=_product(mlp.gate_up_proj),
        down=_product(mlp.down_proj),
        qkv_width=len(attention.qkv_proj.weight),
        mlp=len(mlp.gate_up_proj.weight) // 2,
        kernels=kernels,
        token=token,
    )


def _product(module: Any) -> Rows:
    """Return the multiplication with the matrix of ``module``."""
    if type(module) is nn.Linear and module.weight.is_cpu:
        return partial(torch.mm, mat2=module.weight.t())
    forward: Rows = module.forward
    return forward


def _norm(module: Any) -> Rows:
    """Return an RMS norm as a function.

    In 32 bits x w / sqrt(|x|^2 / n + eps) is computed as x (w sqrt(n)) / hypot(|x|, sqrt(n eps)):
    half the steps of torch's own on a CPU, each of which takes longer to start than to run for
    one row.
    """
    weight, eps = module.weight.detach(), module.variance_epsilon
    n = len(weight)
    if weight.dtype not in (torch.float32, torch.float64):
        return partial(rms_norm, normalized_shape=weight.shape, weight=weight, eps=eps)
    floor = weight.new_full((1,), math.sqrt(n * eps))
    return partial(_norm_rows, weight=weight * math.sqrt(n), floor=floor)


def _norm_rows(
    x: torch.Tensor, weight: torch.Tensor, floor: torch.Tensor, out: torch.Tensor | None = None
) -> torch.Tensor:
    length = torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), floor)
    return torch.div(x, length, out=out).mul_(weight)


def layer_pass(
    layer: Layer, hidden: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], cached: Any
) -> torch.Tensor:
    """Compute one decoder layer, [S, hidden] -> [S, hidden]; ``cached.attend`` knows the past."""
    S = len(hidden)
    if S == 1 and layer.token is not None:
        return layer.token(hidden, rotation, cached)
    cos, sin = rotation
    D, kernels = cos.shape[-1], layer.kernels
    # 1) queries, keys and values [1, H, S, D], the first two rotated
    if kernels is not None:
        normed = layer.input_norm(hidden, out=_normed.tensor(*hidden.shape))
        qkv = layer.qkv(normed, out=_wide.tensor(S, layer.qkv_width))
        q, k, v = kernels.rotate(qkv, cos, sin).unsqueeze(0).chunk(3, 1)
    else:
        qkv = layer.qkv(layer.input_norm(hidden)).view(S, -1, D)
        H = qkv.shape[1] // 3  # q heads, then k heads, then v heads
        qk = qkv.narrow(1, 0, 2 * H)
        qk = torch.addcmul(qk * cos, qk.roll(D // 2, -1), sin).transpose(0, 1).unsqueeze(0)
        q, k = qk.chunk(2, 1)
        v = qkv.narrow(1, 2 * H, H).transpose(0, 1).unsqueeze(0)
    # 2) attention over the past and the chunk itself
    out = cached.attend(q, k, v)
    hidden = layer.o(out.transpose(1, 2).reshape(S, -1)).add_(hidden)
    # 3) the MLP
    if kernels is not None:
        normed = layer.post_norm(hidden, out=_normed.tensor(*hidden.shape))
        gate_up = layer.gate_up(normed, out=_wide.tensor(S, 2 * layer.mlp))
        return layer.down(kernels.gate(gate_up)).add_(hidden)
    gate, up = layer.gate_up(layer.post_norm(hidden)).chunk(2, 1)
    return layer.down(silu(gate).mul_(up)).add_(hidden)
