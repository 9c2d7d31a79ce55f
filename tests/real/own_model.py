"""A small LLaVA of random weights, which servers know by themselves, and transformers' answers.

It is to a server what Phi-3-vision is not: a model of its own, with its own chat template, vision
tower and processor. What it should answer is what transformers computes in this process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip import CLIPImageProcessorPil

from tests.conftest import GOLDENS
from tests.real.cases import TOKENS, Case

SIDE, PATCH = 112, 14
IMAGE = "<image>"
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] | upper }}: "
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<image>{% endif %}{% endfor %}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def make(folder: Path, tokenizer: Path) -> Path:
    """Write the folder, once; numbers are float32 that bfloat16 can hold."""
    if (folder / "model.safetensors").exists():
        return folder
    words = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer / "tokenizer.json"),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<unk>",
        additional_special_tokens=[IMAGE],
    )
    processor = LlavaProcessor(
        CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=TEMPLATE,
    )
    processor.save_pretrained(folder)
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=128, intermediate_size=256, num_hidden_layers=3,
                num_attention_heads=2, image_size=SIDE, patch_size=PATCH,
            ),
            text_config=LlamaConfig(
                vocab_size=len(words), hidden_size=256, intermediate_size=512, num_hidden_layers=3,
                num_attention_heads=4, max_position_embeddings=2048,
            ),
            image_token_index=words.convert_tokens_to_ids(IMAGE),
            vision_feature_layer=-2,
        )
    )  # fmt: skip
    with torch.no_grad():
        for name, one in model.named_parameters():
            if one.dim() > 1:
                is_table = "embed_tokens" in name
                one.normal_(0, 1.0 if is_table else 1.2 / math.sqrt(math.prod(one.shape[1:])))
            one.copy_(one.to(torch.bfloat16).float())
    model.generation_config.eos_token_id = model.config.text_config.eos_token_id
    model.save_pretrained(folder)
    # the names of published checkpoints: vLLM does not know those that transformers 5 writes
    stored = load_file(folder / "model.safetensors")
    tower = "vision_tower."
    named = {name.replace(tower, f"{tower}vision_model."): one for name, one in stored.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@dataclass(frozen=True)
class Laid:
    """A prompt as the model's own processor makes it."""

    inputs: Any

    @property
    def tokens(self) -> int:
        return int(self.inputs["input_ids"].shape[1])


class Reference:
    """Transformers' answers, on one thread so that sums are repeatable.

    ``class_last`` puts the tower's class token behind the patches, as llama.cpp does: each patch
    gets its neighbour's position, and the first one is not read.
    """

    def __init__(self, folder: Path, *, class_last: bool = False) -> None:
        torch.set_num_threads(1)
        self._model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        if class_last:
            _put_class_last(self._model.model.vision_tower)
        self._words = PreTrainedTokenizerFast.from_pretrained(folder)
        self.image = self._words.convert_tokens_to_ids(IMAGE)
        image = CLIPImageProcessorPil.from_pretrained(folder)
        self._processor = LlavaProcessor.from_pretrained(
            folder, image_processor=image, tokenizer=self._words
        )

    def prompt(self, case: Case) -> Laid:
        said, pictures = [], []
        for one in case.said:
            parts: list[dict[str, str]] = [{"type": "image"} for _ in one.pictures]
            said.append(
                {"role": str(one.role), "content": [*parts, {"type": "text", "text": one.text}]}
            )
            pictures += [Image.open(GOLDENS / "images" / name) for name in one.pictures]
        text = self._processor.apply_chat_template(said, add_generation_prompt=True)
        return Laid(
            self._processor(
                text=text,
                images=pictures or None,
                add_special_tokens=False,
                return_tensors="pt",
            )
        )

    def reply(self, prompt: Laid) -> list[int]:
        with torch.no_grad():
            made = self._model.generate(
                **prompt.inputs, do_sample=False, max_new_tokens=TOKENS, min_new_tokens=TOKENS
            )
        return [int(one) for one in made[0, prompt.tokens :]]

    def text(self, ids: list[int]) -> str:
        return str(self._words.decode(ids, skip_special_tokens=True)).lstrip()


def _put_class_last(tower: Any) -> None:
    embeddings = getattr(tower, "vision_model", tower).embeddings

    def forward(pixels: torch.Tensor, **_: Any) -> torch.Tensor:
        patches = embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
        one = embeddings.class_embedding.expand(len(patches), 1, -1)
        positions: torch.Tensor = embeddings.position_embedding(embeddings.position_ids)
        return torch.cat([patches, one], dim=1) + positions

    embeddings.forward = forward
