"""Weight shapes, memory and operations of Phi-3-vision: arithmetic on config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping

from assistant.families.sizes import ModelSize, Shape
from assistant.phi3v.crops import CROP, CROP_BATCH
from assistant.phi3v.plain_config import PlainConfig, decoder_shape

_VISION = "model.vision_embed_tokens."
_CLIP = _VISION + "img_processor.vision_model."


def weight_shapes(config: PlainConfig) -> dict[str, Shape]:
    """List names and shapes of all weights of the official layout, in their order of use."""
    g, clip = decoder_shape(config), config.clip_config
    H, D, C = g.hidden, g.head_dim, clip.hidden_size
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (g.vocab, H)}
    for index in range(g.layers):
        layer = f"model.layers.{index}."
        shapes |= {
            layer + "input_layernorm.weight": (H,),
            layer + "self_attn.qkv_proj.weight": ((g.heads + 2 * g.kv_heads) * D, H),
            layer + "self_attn.o_proj.weight": (H, g.heads * D),
            layer + "post_attention_layernorm.weight": (H,),
            layer + "mlp.gate_up_proj.weight": (2 * g.mlp, H),
            layer + "mlp.down_proj.weight": (H, g.mlp),
        }
    shapes |= {"model.norm.weight": (H,), "lm_head.weight": (g.vocab, H)}
    shapes |= {_VISION + "glb_GN": (1, 1, 4 * C), _VISION + "sub_GN": (1, 1, 1, 4 * C)}
    for part, width in ((0, 4 * C), (2, H)):
        shapes[f"{_VISION}img_projection.{part}.weight"] = (H, width)
        shapes[f"{_VISION}img_projection.{part}.bias"] = (H,)
    shapes |= {
        _CLIP + "embeddings.class_embedding": (C,),
        _CLIP + "embeddings.patch_embedding.weight": (C, 3, clip.patch_size, clip.patch_size),
        _CLIP + "embeddings.position_embedding.weight": (clip.patches + 1, C),
    }
    linears = [(f"self_attn.{name}_proj", C, C) for name in ("q", "k", "v", "out")]
    linears += [("mlp.fc1", clip.intermediate_size, C), ("mlp.fc2", C, clip.intermediate_size)]
    norms = ["pre_layrnorm", "post_layernorm"]
    for index in range(clip.num_hidden_layers):
        layer = f"encoder.layers.{index}."
        norms += [layer + "layer_norm1", layer + "layer_norm2"]
        for name, rows, columns in linears:
            shapes[f"{_CLIP}{layer}{name}.weight"] = (rows, columns)
            shapes[f"{_CLIP}{layer}{name}.bias"] = (rows,)
    for norm in norms:
        shapes[f"{_CLIP}{norm}.weight"] = shapes[f"{_CLIP}{norm}.bias"] = (C,)
    return shapes


_BUFFERS = (".position_ids", ".inv_freq", ".img_sizes")
"""Endings of numbers that follow from the configuration, which some programs store."""


def is_read(name: str, clip_layers: int) -> bool:
    """Check that the model uses a weight: not those of CLIP's last layer and final norm."""
    if name.startswith(f"{_CLIP}post_layernorm.") or name.endswith(_BUFFERS):
        return False
    return not name.startswith(f"{_CLIP}encoder.layers.{clip_layers - 1}.")


def is_vision(name: str) -> bool:
    """Check that a weight belongs to the vision tower or its projector."""
    return name.startswith(_VISION)


def model_size(
    name: str,
    config: PlainConfig,
    num_crops: int,
    shapes: Mapping[str, Shape],
    dtype: str = "bfloat16",
) -> ModelSize:
    """Compute the size of a model with weights of these ``shapes``, for pictures of ``num_crops``.

    The peak memory of a picture is either the tower's MLP on a batch of crops (its first product
    and two copies for quick_gelu), or the projector on the whole picture (the sequence of merged
    features and its parts, and three [tokens, hidden]), beside the pixels and all merged features.
    The operations of a crop are the tower's matrix products and its attention among patches.
    """
    clip = config.clip_config
    crops, C, P = num_crops + 1, clip.hidden_size, clip.patches
    # 1) weights
    read = {n: s for n, s in shapes.items() if is_read(n, clip.num_hidden_layers)}
    matrices = {n: s for n, s in read.items() if is_decoder_matrix(n, s)}
    tower_matrices = [s for n, s in read.items() if len(s) == 2 and ".encoder.layers." in n]
    # 2) a picture
    tower = min(CROP_BATCH, crops) * (P + 1) * (3 * clip.intermediate_size + 4 * C)
    tokens = crops * (P // 4 + math.isqrt(P // 4)) + 1
    projector = tokens * (2 * 4 * C + 3 * config.hidden_size)
    products = 4 * C**2 + 2 * C * clip.intermediate_size
    return ModelSize(
        name=name,
        decoder=decoder_shape(config),
        context=config.max_position_embeddings,
        dtype=dtype,
        matrices=tuple((rows, columns) for rows, columns in matrices.values()),
        other_weights=sum(math.prod(s) for n, s in read.items() if n not in matrices),
        pixel_bytes=crops * 3 * CROP * CROP * 4,
        vision_numbers=crops * P * C + max(tower, projector),
        tower_matrices=tuple((rows, columns) for rows, columns in tower_matrices),
        view_flop=(clip.num_hidden_layers - 1) * (P + 1) * (2 * products + 4 * (P + 1) * C),
    )


def is_decoder_matrix(name: str, shape: Shape) -> bool:
    """Check that a weight is read whole for each decoded token, so may be held as integers."""
    return len(shape) == 2 and not is_vision(name) and name != "model.embed_tokens.weight"
