"""LongRoPE with an explicit regime.

Source: Ding et al., "LongRoPE" (2024), as in the reference's ``Phi3SuScaledRotaryEmbedding``. The
reference chooses the factors per forward call; here they are a property of a whole sequence, chosen
once by :func:`regime_of` or by the KV cache that holds the sequence.
"""

from __future__ import annotations

import math
from enum import StrEnum

import torch

from assistant.phi3v.plain_config import PlainConfig


class Regime(StrEnum):
    """The LongRoPE factors that rotate every position of a sequence."""

    SHORT = "short"
    LONG = "long"


def regime_of(length: int, config: PlainConfig) -> Regime:
    """Return the regime of ``length`` positions: long beyond the original context."""
    return Regime.LONG if length > config.original_max_position_embeddings else Regime.SHORT


class LongRope:
    """Cosines and sines of rotary positions, float32, attention scaling included.

    It is no ``nn.Module``: no checkpoint holds its tensors, and buffers of a model on the meta
    device would have to be filled.
    """

    def __init__(self, config: PlainConfig) -> None:
        parameters = config.rope_parameters
        dim = config.hidden_size // config.num_attention_heads
        exponents = torch.arange(0, dim, 2, dtype=torch.int64, device="cpu").float() / dim
        base = float(parameters["rope_theta"]) ** exponents
        self._frequencies: dict[tuple[str, torch.device], torch.Tensor] = {}
        for regime in Regime:
            factors = parameters.get(f"{regime}_factor")
            extension = torch.tensor(
                factors if factors else [1.0] * (dim // 2), dtype=torch.float32, device="cpu"
            )
            inverse = 1.0 / (extension * base)
            # negated in the first half, which changes no cosine
            self._frequencies[regime, torch.device("cpu")] = torch.cat((-inverse, inverse))
        original = config.original_max_position_embeddings
        growth = config.max_position_embeddings / original
        # sqrt(1 + ln(s) / ln(L)) keeps the attention entropy of the stretched context; it
        # applies in the short regime too, as in the reference.
        self.attention_scaling = (
            math.sqrt(1 + math.log(growth) / math.log(original)) if growth > 1 else 1.0
        )

    def __call__(
        self, position_ids: torch.Tensor, regime: str, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute (cos, sin) of ``position_ids`` [B, S], each [B, S, head_dim] in ``dtype``."""
        cos, sin = self.half_negated(position_ids, regime, dtype)
        return cos, torch.cat((sin[..., sin.shape[-1] // 2 :],) * 2, dim=-1)

    def half_negated(
        self, position_ids: torch.Tensor, regime: str, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute them with the sines' first half negated: x cos + swap_halves(x) sin rotates x."""
        key = (regime, position_ids.device)
        if key not in self._frequencies:
            cpu = self._frequencies[regime, torch.device("cpu")]
            self._frequencies[key] = cpu.to(position_ids.device)
        angles = position_ids[..., None] * self._frequencies[key]  # [B, S, head_dim]
        scale = self.attention_scaling
        return angles.cos().mul_(scale).to(dtype), angles.sin().mul_(scale).to(dtype)
