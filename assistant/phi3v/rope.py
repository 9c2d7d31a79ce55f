"""LongRoPE with an explicit regime.

Source: Ding et al., "LongRoPE" (2024), as in the reference's
``Phi3SuScaledRotaryEmbedding``. The reference chooses the factors per forward
call; here they are a property of a whole sequence, chosen once by
:func:`regime_of` or by the KV cache that holds the sequence.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from assistant.phi3v.config import Phi3VConfig


class Regime(StrEnum):
    """Which LongRoPE factors rotate every position of a sequence."""

    SHORT = "short"
    LONG = "long"


def regime_of(length: int, config: Phi3VConfig) -> Regime:
    """The regime of a sequence of ``length`` positions: long beyond the original context."""
    return Regime.LONG if length > config.original_max_position_embeddings else Regime.SHORT


class LongRope:
    """Cosines and sines of rotary positions, float32, attention scaling included.

    Not an ``nn.Module``: it holds nothing that a checkpoint could contain, and
    a model that was laid out on the meta device needs no repair of its buffers.
    """

    def __init__(self, config: Phi3VConfig) -> None:
        parameters = config.rope_parameters
        dim = config.hidden_size // config.num_attention_heads
        exponents = torch.arange(0, dim, 2, dtype=torch.int64, device="cpu").float() / dim
        base = float(parameters["rope_theta"]) ** exponents
        self._inverse_frequencies: dict[tuple[Regime, torch.device], torch.Tensor] = {}
        for regime in Regime:
            factors = parameters.get(f"{regime}_factor")
            extension = torch.tensor(
                factors if factors else [1.0] * (dim // 2), dtype=torch.float32, device="cpu"
            )
            self._inverse_frequencies[regime, torch.device("cpu")] = 1.0 / (extension * base)
        original = config.original_max_position_embeddings
        growth = config.max_position_embeddings / original
        # sqrt(1 + ln(s) / ln(L)) keeps the attention entropy of the stretched context; it
        # applies in the short regime too, as in the reference.
        self.attention_scaling = (
            math.sqrt(1 + math.log(growth) / math.log(original)) if growth > 1 else 1.0
        )

    def __call__(
        self, position_ids: torch.Tensor, regime: Regime, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``position_ids`` [B, S] -> (cos, sin), each [B, S, head_dim] in ``dtype``."""
        key = (regime, position_ids.device)
        if key not in self._inverse_frequencies:
            cpu = self._inverse_frequencies[regime, torch.device("cpu")]
            self._inverse_frequencies[key] = cpu.to(position_ids.device)
        inverse = self._inverse_frequencies[key]
        angles = position_ids[..., None].float() * inverse  # [B, S, head_dim / 2]
        angles = torch.cat((angles, angles), dim=-1)
        scale = self.attention_scaling
        return (angles.cos() * scale).to(dtype), (angles.sin() * scale).to(dtype)
