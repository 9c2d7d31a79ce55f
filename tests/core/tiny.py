"""A Phi-3-vision so small that thousands of conversations take minutes, with a low switch."""

from __future__ import annotations

import copy
from functools import cache

import torch
from torch import nn

from assistant.core.sequence import Unit
from assistant.core.weights import TiledLinear, likely_bfloat16_way
from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from assistant.values.prompt import Prompt, Slot

SWITCH = 96
CONTEXT = 512
VOCAB = 40
PICTURE_TOKENS = {1: 13, 2: 17, 3: 17}
"""Positions of a picture by the number of crops asked for: one, or a row of two, which is another
one where three were asked for."""

HEAD_DIM, LAYERS, HEADS = 16, 2, 2


@cache
def tiny_phi3v(
    dtype: torch.dtype = torch.float32, vocab: int = VOCAB, seed: int = 5
) -> Phi3VForCausalLM:
    """Random weights, scaled so that every position and every layer matters for the next id."""
    half = HEAD_DIM // 2
    config = Phi3VConfig(
        hidden_size=HEADS * HEAD_DIM,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        vocab_size=vocab,
        pad_token_id=None,
        original_max_position_embeddings=SWITCH,
        max_position_embeddings=CONTEXT,
        rope_scaling={
            "type": "su",
            "short_factor": [1.0 + 0.1 * i for i in range(half)],
            "long_factor": [1.5 + 0.7 * i for i in range(half)],
        },
        img_processor={
            "num_img_tokens": 4,
            "clip_config": {
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 336,
                "patch_size": 84,
                "hidden_act": "quick_gelu",
            },
        },
    )
    config._attn_implementation = "sdpa"
    generator = torch.Generator().manual_seed(seed)
    model = Phi3VForCausalLM(config).to(dtype).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                continue
            wide = name == "model.embed_tokens.weight" or weight.dim() != 2
            scale = 1.0 if wide else 1.6 * weight.shape[1] ** -0.5
            weight.normal_(0, scale, generator=generator)
    return model.requires_grad_(False)


@cache
def rounded_phi3v() -> Phi3VForCausalLM:
    """The same with the matrices of its layers rounded to bfloat16."""
    model = copy.deepcopy(tiny_phi3v())
    for _, _, linear in _matrices(model):
        linear.weight.copy_(linear.weight.bfloat16())
    return model


@cache
def narrow_phi3v() -> Phi3VForCausalLM:
    """The same as that, its matrices held in bfloat16."""
    model = copy.deepcopy(rounded_phi3v())
    for parent, name, linear in _matrices(model):
        setattr(parent, name, TiledLinear(linear.weight.bfloat16(), likely_bfloat16_way()))
    return model


def _matrices(model: Phi3VForCausalLM) -> list[tuple[nn.Module, str, nn.Linear]]:
    return [
        (part, name, linear)
        for layer in model.model.layers
        for part in layer.children()
        for name, linear in part.named_children()
        if isinstance(linear, nn.Linear)
    ]


@cache
def crops_of(slot: Slot) -> tuple[torch.Tensor, tuple[int, int]]:
    """Made-up pixels of the picture that has this name."""
    generator = torch.Generator().manual_seed(sum(slot.pixels_sha256.encode()) + slot.detail)
    columns = min(slot.detail, 2)
    crops = torch.randn(1 + columns, 3, 1, 1, generator=generator).expand(-1, -1, 336, 336)
    return crops, (336, 336 * columns)


@cache
def features_of(slot: Slot) -> torch.Tensor:
    """[tokens, hidden] of a picture, all crops at once and nothing kept."""
    crops, (height, width) = crops_of(slot)
    with torch.inference_mode():
        vision = tiny_phi3v().model.vision_embed_tokens
        return vision.arrange(vision.encode_crops(crops), height // 336, width // 336)


_known: dict[tuple[bool, tuple[Unit, ...]], int] = {}


@torch.inference_mode()
def uncached(
    prompt: Prompt, tokens: int, stop_ids: frozenset[int], *, rounded: bool = False
) -> list[int]:
    """The greedy reply, every id from a forward pass over everything before it, without a cache."""
    model = rounded_phi3v() if rounded else tiny_phi3v()
    units: list[Unit] = []
    for part in prompt.parts:
        units.extend([part] if isinstance(part, Slot) else part)
    reply: list[int] = []
    while len(reply) < tokens and not (reply and reply[-1] in stop_ids):
        key = rounded, tuple(units)
        if key not in _known:
            embed = model.model.embed_tokens
            rows = [
                features_of(u) if isinstance(u, Slot) else embed(torch.tensor([u])) for u in units
            ]
            inputs = torch.cat(rows)[None]
            regime = Regime.LONG if inputs.shape[1] > SWITCH else Regime.SHORT
            logits = model(inputs_embeds=inputs, logits_to_keep=1, regime=regime).logits
            _known[key] = int(logits[0, -1].argmax())
        reply.append(_known[key])
        units.append(reply[-1])
    return reply
