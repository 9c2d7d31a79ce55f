"""Architecture of the demo model: config.json and preprocessor_config.json."""

from __future__ import annotations

import math
from typing import Any

from assistant.phi3v.crops import CROP
from assistant.phi3v.pixels import CLIP_MEAN, CLIP_STD
from training.demo_model.tower import ACTIVE_LAYERS, GRID, HEADS, MLP, WIDTH

HIDDEN, LAYERS, DECODER_HEADS, DECODER_MLP = 256, 6, 8, 704
ORIGINAL, LONGEST = 4096, 8192
CROP_TOKENS = (GRID // 2) ** 2
"""Positions of a crop, the ends of its rows not counted."""
THETA = 10_000.0


def long_factors() -> list[float]:
    """Compute LongRoPE's long factors by YaRN's NTK-by-parts (Peng et al., 2023, eq. 17).

    A pair of dimensions that turns 32 times or more within the original
    context keeps its frequency, one that turns less than once is stretched by
    the whole growth of the context, and between them the factor is blended.
    """
    half = HIDDEN // DECODER_HEADS // 2
    growth = LONGEST / ORIGINAL
    factors = []
    for i in range(half):
        turns = ORIGINAL * THETA ** (-i / half) / (2 * math.pi)
        kept = min(1.0, max(0.0, (turns - 1) / (32 - 1)))
        factors.append(1 / (kept + (1 - kept) / growth))
    return [round(f, 6) for f in factors]


def config(vocabulary: int) -> dict[str, Any]:
    """Build ``config.json``."""
    half = HIDDEN // DECODER_HEADS // 2
    return {
        "_name_or_path": "phichat-demo",
        "architectures": ["Phi3VForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "embd_layer": {
            "embedding_cls": "image",
            "hd_transform_order": "sub_glb",
            "projection_cls": "mlp",
            "use_hd_transform": True,
            "with_learnable_separator": True,
        },
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "img_processor": {
            "clip_config": {
                "attention_dropout": 0.0,
                "dropout": 0.0,
                "hidden_act": "quick_gelu",
                "hidden_size": WIDTH,
                "image_size": CROP,
                "initializer_factor": 1.0,
                "initializer_range": 0.02,
                "intermediate_size": MLP,
                "layer_norm_eps": 1e-05,
                "num_attention_heads": HEADS,
                "num_channels": 3,
                "num_hidden_layers": ACTIVE_LAYERS + 1,  # the last one is never read
                "patch_size": CROP // GRID,
                "projection_dim": WIDTH,
            },
            "image_dim_out": WIDTH,
            "model_name": "openai/clip-vit-large-patch14-336",
            "name": "clip_vision_model",
            "num_img_tokens": CROP_TOKENS,
        },
        "initializer_range": 0.02,
        "intermediate_size": DECODER_MLP,
        "max_position_embeddings": LONGEST,
        "model_type": "phi3_v",
        "num_attention_heads": DECODER_HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": DECODER_HEADS,
        "original_max_position_embeddings": ORIGINAL,
        "pad_token_id": None,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {"long_factor": long_factors(), "short_factor": [1.0] * half, "type": "su"},
        "rope_theta": THETA,
        "sliding_window": LONGEST,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def preprocessor_config() -> dict[str, Any]:
    """Build ``preprocessor_config.json``: one crop beside the global view."""
    return {
        "image_mean": list(CLIP_MEAN),
        "image_processor_type": "Phi3VImageProcessor",
        "image_std": list(CLIP_STD),
        "num_crops": 1,
        "num_img_tokens": CROP_TOKENS,
        "processor_class": "Phi3VProcessor",
    }
