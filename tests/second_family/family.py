"""A tiny model family of another package: ChatML, 16 positions a picture. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from assistant.families.chat import ChatStyle, ChatTemplate
from assistant.families.checkpoint import read_json
from assistant.families.sizes import DecoderShape, ModelSize, Shape
from assistant.families.stored_weights import stored_dtype, stored_weights
from assistant.families.vocabulary import TokenizerVocabulary
from assistant.values.context import PictureLayout
from assistant.values.conversation import Role

if TYPE_CHECKING:
    from assistant.families.runtime import FamilyRuntime

SIDE, PATCH = 32, 8
PICTURE_TOKENS = (SIDE // PATCH) ** 2

STYLE = ChatStyle(
    opening={role: ("<|im_start|>", f"{role}\n") for role in Role},
    closing=("<|im_end|>", "\n"),
    before_picture="<|vision_start|>",
    after_picture="<|vision_end|>",
    picture_end="",
)


class Vocabulary(TokenizerVocabulary):
    needed = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
    stop_names = ("<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True)
class WholePictures:
    """Every picture is looked at whole: nothing to choose."""

    details: ClassVar[tuple[int, ...]] = ()
    part: ClassVar[str] = ""
    default: ClassVar[int] = 1
    largest: ClassVar[int] = 1

    def layout(self, width: int, height: int, detail: int) -> PictureLayout:
        return PictureLayout(detail=1, tokens=PICTURE_TOKENS, size=(SIDE, SIDE))


class TinyCheckpoint:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = read_json(folder / "config.json")
        self.context = int(self._config["max_position_embeddings"])
        self.chat = ChatTemplate(STYLE, partial(Vocabulary.from_folder, folder))
        self.pictures = WholePictures()

    def weights(self) -> Mapping[str, Shape]:
        return weight_shapes(decoder_shape(self._config))

    def is_ignored(self, name: str) -> bool:
        return False

    def size(self, name: str) -> ModelSize:
        g = decoder_shape(self._config)
        stored = stored_weights(self._folder)
        matrices = [one.shape for weight, one in stored.items() if is_matrix(weight)]
        numbers = sum(one.numbers for one in stored.values())
        return ModelSize(
            name=name,
            decoder=g,
            context=self.context,
            dtype=stored_dtype(self._config, self._folder),
            matrices=tuple((rows, columns) for rows, columns in matrices),
            other_weights=numbers - sum(rows * columns for rows, columns in matrices),
            pixel_bytes=3 * SIDE * SIDE * 4,
            vision_numbers=PICTURE_TOKENS * (3 * PATCH * PATCH + g.hidden),
            view_flop=2 * PICTURE_TOKENS * 3 * PATCH * PATCH * g.hidden,
        )


class TinyFamily:
    title = "Tiny ChatML"
    known = ()

    def open(self, folder: Path, detail: int | None = None) -> TinyCheckpoint:
        return TinyCheckpoint(folder)

    def runtime(self) -> FamilyRuntime:
        from tests.second_family.runtime import TinyRuntime

        return TinyRuntime()


FAMILY = TinyFamily()


def decoder_shape(config: Mapping[str, Any]) -> DecoderShape:
    return DecoderShape(
        hidden=config["hidden_size"],
        mlp=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=config["head_dim"],
        vocab=config["vocab_size"],
    )


def is_matrix(name: str) -> bool:
    return name.endswith("_proj.weight") or name == "lm_head.weight"


def weight_shapes(g: DecoderShape) -> dict[str, Shape]:
    H, Q, K = g.hidden, g.heads * g.head_dim, g.kv_heads * g.head_dim
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (g.vocab, H)}
    for index in range(g.layers):
        layer = f"model.layers.{index}."
        shapes |= {
            layer + "self_attn.q_proj.weight": (Q, H),
            layer + "self_attn.k_proj.weight": (K, H),
            layer + "self_attn.v_proj.weight": (K, H),
            layer + "self_attn.o_proj.weight": (H, Q),
            layer + "mlp.gate_proj.weight": (g.mlp, H),
            layer + "mlp.up_proj.weight": (g.mlp, H),
            layer + "mlp.down_proj.weight": (H, g.mlp),
            layer + "input_layernorm.weight": (H,),
            layer + "post_attention_layernorm.weight": (H,),
        }
    shapes |= {"model.norm.weight": (H,), "lm_head.weight": (g.vocab, H)}
    return shapes | {"vision.weight": (H, 3 * PATCH * PATCH), "vision.bias": (H,)}
