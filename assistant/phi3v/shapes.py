"""Weight shapes, memory and operations of Phi-3-vision: arithmetic on config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from assistant.families.sizes import DecoderShape, ModelSize, Shape
from assistant.phi3v.checkpoint import MOST
from assistant.phi3v.clip import CLIP_VIT_L_14_336
from assistant.phi3v.crops import CROP, CROP_BATCH
from assistant.values.errors import ModelError

MOST_LAYERS = 10_000
"""Layers at most: names are made of each, whatever a damaged config.json says."""

_VISION = "model.vision_embed_tokens."
_CLIP = _VISION + "img_processor.vision_model."


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of a model of the family, from its config.json."""

    hidden: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    context: int
    clip_hidden: int
    clip_mlp: int
    clip_layers: int
    clip_patch: int

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    @property
    def patches(self) -> int:
        """Patches of one crop, without the class embedding."""
        return int((CROP // self.clip_patch) ** 2)

    @property
    def crop_tokens(self) -> int:
        """Positions of one crop after the 2 x 2 merge."""
        return self.patches // 4

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Geometry:
        """Read the values of config.json. Raises ModelError for one that no model has."""
        try:
            clip = (config.get("img_processor") or {}).get("clip_config") or CLIP_VIT_L_14_336
            found = cls(
                hidden=int(config["hidden_size"]),
                mlp=int(config["intermediate_size"]),
                layers=int(config["num_hidden_layers"]),
                heads=int(config["num_attention_heads"]),
                kv_heads=int(config.get("num_key_value_heads") or config["num_attention_heads"]),
                vocab=int(config["vocab_size"]),
                context=int(config["max_position_embeddings"]),
                clip_hidden=int(clip["hidden_size"]),
                clip_mlp=int(clip["intermediate_size"]),
                clip_layers=int(clip["num_hidden_layers"]),
                clip_patch=int(clip["patch_size"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(
                f"config.json lacks a usable {error}: the checkpoint is damaged."
            ) from None
        for name, number in asdict(found).items():
            if not 1 <= number <= (MOST_LAYERS if name.endswith("layers") else MOST):
                raise ModelError(
                    f"config.json gives the model a size that none has ({name}): the checkpoint is "
                    "damaged."
                )
        return found


def weight_shapes(g: Geometry) -> dict[str, Shape]:
    """List names and shapes of all weights of the official layout, in their order of use."""
    H, D, C = g.hidden, g.head_dim, g.clip_hidden
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
        _CLIP + "embeddings.patch_embedding.weight": (C, 3, g.clip_patch, g.clip_patch),
        _CLIP + "embeddings.position_embedding.weight": (g.patches + 1, C),
    }
    linears = [(f"self_attn.{name}_proj", C, C) for name in ("q", "k", "v", "out")]
    linears += [("mlp.fc1", g.clip_mlp, C), ("mlp.fc2", C, g.clip_mlp)]
    norms = ["pre_layrnorm", "post_layernorm"]
    for index in range(g.clip_layers):
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
    name: str, g: Geometry, num_crops: int, shapes: Mapping[str, Shape], dtype: str = "bfloat16"
) -> ModelSize:
    """Compute the size of a model with weights of these ``shapes``, for pictures of ``num_crops``.

    The peak memory of a picture is either the tower's MLP on a batch of crops (its first product
    and two copies for quick_gelu), or the projector on the whole picture (the sequence of merged
    features and its parts, and three [tokens, hidden]), beside the pixels and all merged features.
    The operations of a crop are the tower's matrix products and its attention among patches.
    """
    read = {n: s for n, s in shapes.items() if is_read(n, g.clip_layers)}
    matrices = {n: s for n, s in read.items() if is_decoder_matrix(n, s)}
    tower_matrices = [s for n, s in read.items() if len(s) == 2 and ".encoder.layers." in n]
    crops, C = num_crops + 1, g.clip_hidden
    tower = min(CROP_BATCH, crops) * (g.patches + 1) * (3 * g.clip_mlp + 4 * C)
    tokens = crops * (g.crop_tokens + math.isqrt(g.crop_tokens)) + 1
    projector = tokens * (2 * 4 * C + 3 * g.hidden)
    positions = g.patches + 1
    products = 4 * C**2 + 2 * C * g.clip_mlp
    return ModelSize(
        name=name,
        decoder=DecoderShape(
            hidden=g.hidden,
            mlp=g.mlp,
            layers=g.layers,
            heads=g.heads,
            kv_heads=g.kv_heads,
            head_dim=g.head_dim,
            vocab=g.vocab,
        ),
        context=g.context,
        dtype=dtype,
        matrices=tuple((rows, columns) for rows, columns in matrices.values()),
        other_weights=sum(math.prod(s) for n, s in read.items() if n not in matrices),
        pixel_bytes=crops * 3 * CROP * CROP * 4,
        vision_numbers=crops * g.patches * C + max(tower, projector),
        tower_matrices=tuple((rows, columns) for rows, columns in tower_matrices),
        view_flop=(g.clip_layers - 1) * positions * (2 * products + 4 * positions * C),
    )


def is_decoder_matrix(name: str, shape: Shape) -> bool:
    """Check that a weight is read whole for each decoded token, so may be held as integers."""
    return len(shape) == 2 and not is_vision(name) and name != "model.embed_tokens.weight"
