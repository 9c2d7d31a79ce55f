"""Sizes of the vision tower. Imports nothing of ours: phichat-vllm takes a copy along."""

from __future__ import annotations

from typing import Any

# OpenAI's CLIP ViT-L/14 at 336 px, which the official config names without its sizes.
# Source: the config.json of openai/clip-vit-large-patch14-336.
CLIP_VIT_L_14_336: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "projection_dim": 768,
}
