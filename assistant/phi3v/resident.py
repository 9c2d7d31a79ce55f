"""Phi-3-vision's weights for the core's own pass on a CPU, without transformers.

Importing transformers' models takes two CPU seconds and 110 MB, because torch's compiler and its
distributed tensors come along. Every start of a worker would pay for them.
"""

from __future__ import annotations

import torch
from torch import nn

from assistant.families.runtime import PastKeys
from assistant.phi3v.clip_model import empty_embedding
from assistant.phi3v.interface import Phi3VInterface
from assistant.phi3v.plain_config import PlainConfig
from assistant.phi3v.rope import LongRope
from assistant.phi3v.vision import Phi3VImageEmbedding


class ResidentPhi3V(Phi3VInterface, nn.Module):
    """A model whose layers :mod:`assistant.core.layers` computes, with the official names."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Decoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def hidden_states(self, embeddings: torch.Tensor, cache: PastKeys) -> torch.Tensor:
        raise NotImplementedError("the core computes the layers of this model")


class _Decoder(nn.Module):
    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.embed_tokens = empty_embedding(config.vocab_size, config.hidden_size)
        self.vision_embed_tokens = Phi3VImageEmbedding(config)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = _Norm(config)
        self.rope = LongRope(config)


class _Layer(nn.Module):
    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.self_attn, self.mlp = _Attention(config), _Mlp(config)
        self.input_layernorm, self.post_attention_layernorm = _Norm(config), _Norm(config)


class _Attention(nn.Module):
    num_key_value_groups = 1

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.head_dim = width // config.num_attention_heads
        self.qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)


class _Mlp(nn.Module):
    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)


class _Norm(nn.Module):
    """The weight of an RMS norm."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.hidden_size))
        self.variance_epsilon = config.rms_norm_eps
