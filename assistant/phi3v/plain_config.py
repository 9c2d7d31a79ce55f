"""The values of config.json that the model is made of, without transformers.

Names are those of :class:`assistant.phi3v.config.Phi3VConfig`, which the Python API takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from assistant.phi3v.clip import CLIP_VIT_L_14_336
from assistant.values.errors import ModelError


@dataclass
class ClipConfig:
    """Geometry of the vision tower."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    num_channels: int = 3
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5

    @classmethod
    def of(cls, img_processor: Mapping[str, Any] | None) -> ClipConfig:
        """Read the geometry that config.json has, or OpenAI's, which it may only name."""
        clip = (img_processor or {}).get("clip_config") or CLIP_VIT_L_14_336
        return cls(**{one.name: clip[one.name] for one in fields(cls) if one.name in clip})


@dataclass(frozen=True)
class PlainConfig:
    """The values that the modules read of a configuration, this one or transformers'."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    original_max_position_embeddings: int
    rms_norm_eps: float
    rope_parameters: Mapping[str, Any]
    clip_config: ClipConfig

    @classmethod
    def from_values(cls, values: Mapping[str, Any], folder: Path) -> PlainConfig:
        """Read config.json's ``values``. Raises ModelError."""
        try:
            return cls._checked(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ModelError(f"{folder / 'config.json'} can't be used: {reason}") from error

    @classmethod
    def _checked(cls, values: Mapping[str, Any]) -> PlainConfig:
        heads, hidden = int(values["num_attention_heads"]), int(values["hidden_size"])
        if heads < 1 or hidden % heads:
            raise ValueError(f"{heads} heads don't divide a width of {hidden}")
        if values.get("hidden_act", "silu") != "silu":
            raise ValueError(f"the decoder's activation is {values['hidden_act']!r}, not 'silu'")
        context = int(values["max_position_embeddings"])
        original = values.get("original_max_position_embeddings")
        return cls(
            vocab_size=int(values["vocab_size"]),
            hidden_size=hidden,
            intermediate_size=int(values["intermediate_size"]),
            num_hidden_layers=int(values["num_hidden_layers"]),
            num_attention_heads=heads,
            num_key_value_heads=int(values.get("num_key_value_heads") or heads),
            max_position_embeddings=context,
            original_max_position_embeddings=int(original or _ORIGINAL),
            rms_norm_eps=float(values.get("rms_norm_eps", 1e-5)),
            rope_parameters=_rope(values, hidden // heads // 2),
            clip_config=ClipConfig.of(values.get("img_processor")),
        )


_ORIGINAL = 4096
"""Phi3Config's default."""


def _rope(values: Mapping[str, Any], numbers: int) -> dict[str, Any]:
    """Read LongRoPE's factors, ``numbers`` each; a model may have none."""
    stored = values.get("rope_scaling") or values.get("rope_parameters") or {}
    theta = stored.get("rope_theta", values.get("rope_theta", 10_000.0))
    rope: dict[str, Any] = {"rope_theta": float(theta)}
    if stored.get("type", stored.get("rope_type", "default")) == "default":
        return rope
    for name in ("short_factor", "long_factor"):
        factors = [float(one) for one in stored[name]]
        if len(factors) != numbers:
            raise ValueError(f"{name} has {len(factors)} numbers, {numbers} are needed")
        rope[name] = factors
    return rope
