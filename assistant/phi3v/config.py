"""Typed configuration of the official checkpoints, which are read as they are.

Imports nothing of ours but :mod:`assistant.phi3v.clip`: phichat-vllm takes a copy along.
"""

from __future__ import annotations

from typing import Any

from transformers import CLIPVisionConfig, Phi3Config

from assistant.phi3v.clip import CLIP_VIT_L_14_336

_NOT_OURS = (  # keys of the official file that would make transformers fetch or run code
    "auto_map",
    "_attn_implementation",
    "attn_implementation",
)


class Phi3VConfig(Phi3Config):  # type: ignore[misc]
    """Configuration of Phi-3-vision: transformers' Phi3Config plus the vision tower.

    Differences from Phi3Config: ``rope_scaling.type`` "su" is LongRoPE by its old name;
    ``sliding_window`` is off (131072 in the official file means "the whole context" and would make
    transformers build sliding cache layers); ``img_processor.clip_config`` may hold another CLIP
    geometry.
    """

    model_type = "phi3_v"

    img_processor: dict[str, Any] | None = None
    embd_layer: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        for key in _NOT_OURS:
            kwargs.pop(key, None)
        scaling = kwargs.pop("rope_scaling", None)
        theta = kwargs.pop("rope_theta", 10_000.0)
        if scaling is not None:
            self.rope_parameters = {
                "rope_type": "longrope",
                "rope_theta": theta,
                "short_factor": list(scaling["short_factor"]),
                "long_factor": list(scaling["long_factor"]),
                "original_max_position_embeddings": self.original_max_position_embeddings,
                "partial_rotary_factor": 1.0,
            }
        self.sliding_window = None
        super().__post_init__(**kwargs)

    @property
    def clip_config(self) -> CLIPVisionConfig:
        """The geometry of the vision tower."""
        geometry = (self.img_processor or {}).get("clip_config") or CLIP_VIT_L_14_336
        return CLIPVisionConfig(**geometry)
