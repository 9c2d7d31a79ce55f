"""Which weights a checkpoint has and how large they are. Arithmetic and file headers, no torch.

Two sources that tests hold against each other: the geometry in config.json (for a
model that is not on this machine yet) and the headers of the safetensors files.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.phi3v.checkpoint import CLIP_VIT_L_14_336, weight_file_names
from assistant.phi3v.crops import CROP
from assistant.values.errors import ModelError

Shape = tuple[int, ...]

_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
_ITEM_BYTES |= {"U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
_HEADER_LIMIT = 100 * 2**20
"""safetensors' own limit."""

_VISION = "model.vision_embed_tokens."
_CLIP = _VISION + "img_processor.vision_model."


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes of a Phi-3-vision model; see PHI3V's config.json for the names."""

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
        """Numbers of one head of one position."""
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
        """From the values of config.json. Raises ModelError when one is missing or no number."""
        clip = (config.get("img_processor") or {}).get("clip_config") or CLIP_VIT_L_14_336
        try:
            return cls(
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
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"config.json lacks a usable {error}: the checkpoint is damaged."
            ) from None


def weight_shapes(g: Geometry) -> dict[str, Shape]:
    """Names and shapes of every weight of the official layout, in their order of use."""
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


def is_read(name: str, g: Geometry) -> bool:
    """Whether the model uses a weight: CLIP's last layer and its final norm are never read."""
    if name.startswith(f"{_CLIP}post_layernorm.") or name.endswith(".position_ids"):
        return False
    return not name.startswith(f"{_CLIP}encoder.layers.{g.clip_layers - 1}.")


def is_vision(name: str) -> bool:
    """Whether a weight belongs to the vision tower and its projector."""
    return name.startswith(_VISION)


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """One weight as a file has it; ``dtype`` as safetensors says it ("BF16")."""

    shape: Shape
    dtype: str

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Its bytes in the file."""
        return self.numbers * _ITEM_BYTES.get(self.dtype, 4)


def stored_weights(folder: Path) -> dict[str, StoredWeight]:
    """Every weight of the safetensors files, read from their headers (some kilobytes).

    Raises ModelError when a file is missing, cut short or no safetensors file.
    """
    found: dict[str, StoredWeight] = {}
    for name in weight_file_names(folder):
        found |= _header(folder / name)
    return found


def _header(path: Path) -> dict[str, StoredWeight]:
    """The format: 8 bytes little-endian length, that much JSON, then the numbers."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_LIMIT:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
            size = path.stat().st_size - 8 - length
        header.pop("__metadata__", None)
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        weights = {
            str(name): StoredWeight(tuple(map(int, entry["shape"])), str(entry["dtype"]))
            for name, entry in header.items()
        }
    except FileNotFoundError:
        raise ModelError(f"{path.parent} lacks {path.name}: fetch the model again.") from None
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError, struct.error):
        raise ModelError(f"{path} is damaged: fetch the model again.") from None
    if size < end:
        raise ModelError(
            f"{path} is cut short ({size} of {end} bytes of weights): fetch the model again."
        )
    return weights
