"""Phi-3-vision as :class:`assistant.families.runtime.VisionLanguageModel`, by mixin. torch only."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from assistant.families.runtime import Regime as RegimeName, Step
from assistant.families.sizes import DecoderShape
from assistant.phi3v.crops import CROP, crop_batch
from assistant.phi3v.plain_config import PlainConfig, decoder_shape
from assistant.phi3v.rope import Regime, regime_of
from assistant.phi3v.vision import Phi3VImageEmbedding, distinct_crops


class Phi3VInterface:
    """Members that :mod:`assistant.core` asks for, of modules with the official names."""

    config: Any
    model: Any

    @property
    def shape(self) -> DecoderShape:
        return decoder_shape(self.config)

    @property
    def embed_tokens(self) -> nn.Embedding:
        embedding: nn.Embedding = self.model.embed_tokens
        return embedding

    @property
    def vision(self) -> Phi3VImageEmbedding:
        vision: Phi3VImageEmbedding = self.model.vision_embed_tokens
        return vision

    @property
    def fused_layers(self) -> nn.ModuleList | None:
        """The decoder layers; None for grouped keys."""
        return self.model.layers if has_own_pass(self.config) else None

    @property
    def final_norm(self) -> nn.Module:
        norm: nn.Module = self.model.norm
        return norm

    def regime_of(self, length: int) -> Regime:
        return regime_of(length, self.config)

    def longest(self, regime: RegimeName) -> int | None:
        """Return the original context for the short regime; the long one has no limit."""
        if regime == Regime.LONG:
            return None
        return int(self.config.original_max_position_embeddings)

    def rotation(
        self, positions: torch.Tensor, regime: RegimeName, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        angles: tuple[torch.Tensor, torch.Tensor] = self.model.rope.half_negated(
            positions[:, None], regime, dtype
        )
        return angles

    def encode(self, views: tuple[torch.Tensor, tuple[int, int]], step: Step) -> torch.Tensor:
        """Encode crops [n, 3, 336, 336], (height, width) -> features [tokens, hidden].

        Crops that are the same run through the tower once.
        """
        crops, (height, width) = views
        firsts, places = distinct_crops(crops)
        passes = torch.split(crops[firsts], crop_batch(self.embed_tokens.weight.device.type))
        merged = torch.cat([step(partial(self.vision.encode_crops, some)) for some in passes])
        rows, columns = height // CROP, width // CROP
        return step(partial(self.vision.arrange, merged[places], rows, columns))


def has_own_pass(config: PlainConfig) -> bool:
    """Check that the core's own pass can compute the layers: keys are not grouped."""
    return config.num_key_value_heads == config.num_attention_heads
