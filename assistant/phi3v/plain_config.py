"""The values of config.json that the model is made of, checked, without transformers.

Names are those of :class:`assistant.phi3v.config.Phi3VConfig`, which the Python API takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from assistant.families.sizes import DecoderShape
from assistant.phi3v.checkpoint import MOST, MOST_LAYERS, number
from assistant.phi3v.clip import CLIP_VIT_L_14_336
from assistant.phi3v.crops import CROP
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

    @property
    def patches(self) -> int:
        """Patches of one crop, without the class embedding."""
        return (CROP // self.patch_size) ** 2

    @classmethod
    def of(
        cls, img_processor: Mapping[str, Any] | None, path: Path = Path("config.json")
    ) -> ClipConfig:
        """Read the geometry that config.json has, or OpenAI's, which it may only name.

        Raises ModelError for one that no tower has.
        """
        clip = (img_processor or {}).get("clip_config") or CLIP_VIT_L_14_336
        for name in ("hidden_size", "intermediate_size", "num_attention_heads", "image_size"):
            number(clip, name, path, MOST)
        number(clip, "num_hidden_layers", path, MOST_LAYERS)
        number(clip, "patch_size", path, CROP)
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
        path = folder / "config.json"
        try:
            return cls._checked(values, path)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ModelError(
                f"{path} can't be used ({reason}): the checkpoint is damaged, or of another kind."
            ) from error

    @classmethod
    def _checked(cls, values: Mapping[str, Any], path: Path) -> PlainConfig:
        def count(name: str, most: int = MOST) -> int:
            return number(values, name, path, most)

        heads, hidden = count("num_attention_heads"), count("hidden_size")
        if hidden % heads:
            raise ValueError(f"{heads} heads don't divide a width of {hidden}")
        if values.get("hidden_act", "silu") != "silu":
            raise ValueError(f"the decoder's activation is {values['hidden_act']!r}, not 'silu'")
        return cls(
            vocab_size=count("vocab_size"),
            hidden_size=hidden,
            intermediate_size=count("intermediate_size"),
            num_hidden_layers=count("num_hidden_layers", MOST_LAYERS),
            num_attention_heads=heads,
            num_key_value_heads=(
                count("num_key_value_heads") if values.get("num_key_value_heads") else heads
            ),
            max_position_embeddings=count("max_position_embeddings"),
            original_max_position_embeddings=int(
                values.get("original_max_position_embeddings") or _ORIGINAL
            ),
            rms_norm_eps=float(values.get("rms_norm_eps", 1e-5)),
            rope_parameters=_rope(values, hidden // heads // 2),
            clip_config=ClipConfig.of(values.get("img_processor"), path),
        )


def decoder_shape(config: PlainConfig) -> DecoderShape:
    """Return the sizes of the decoder."""
    return DecoderShape(
        hidden=config.hidden_size,
        mlp=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.hidden_size // config.num_attention_heads,
        vocab=config.vocab_size,
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
