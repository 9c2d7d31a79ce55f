"""Processor: text with picture tags, and pictures, to the model's inputs.

Source: ``processing_phi3_v.py`` of the reference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from transformers import BatchFeature, PreTrainedTokenizerFast

from assistant.families.checkpoint import find_folder, read_json
from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.values.errors import ModelError

# \d is any Unicode digit, as in the reference: <|image_１|> names picture 1 too.
_TAG = re.compile(r"<\|image_(\d+)\|>")

CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content']"
    " + '<|end|>\n' }}{% endfor %}{% if add_generation_prompt and messages[-1]['role'] !="
    " 'assistant' %}{{- '<|assistant|>\n' -}}{% endif %}"
)


class Phi3VProcessor:
    """Tokenizer and image processor behind one call."""

    def __init__(
        self, image_processor: Phi3VImageProcessor, tokenizer: PreTrainedTokenizerFast
    ) -> None:
        self.image_processor = image_processor
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Load a folder or hub id; ``overrides`` are preprocessor values. Raises ModelError."""
        folder = find_folder(pretrained_model_name_or_path, local_files_only=local_files_only)
        image_processor = Phi3VImageProcessor.from_pretrained(folder, **overrides)
        return cls(image_processor, load_tokenizer(folder))

    @property
    def num_img_tokens(self) -> int:
        return self.image_processor.num_img_tokens

    def __call__(
        self,
        text: str | list[str],
        images: Image.Image | Sequence[Image.Image] | None = None,
        padding: bool | str = False,
        truncation: bool | None = None,
        max_length: int | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Process a text -> ``input_ids``, ``attention_mask`` [B, S], S counting every position.

        With pictures also ``pixel_values`` and ``image_sizes`` (see :class:`Phi3VImageProcessor`).
        ``<|image_k|>`` in ``text`` (numbers 1..n without gaps) becomes a run of ``-k``. With
        pictures, ``text`` is one string and padding and truncation are ignored, as in the
        reference. Raises AssertionError when tags and pictures do not match, TypeError for a list
        of texts with pictures.
        """
        if images is None:
            encoded = self.tokenizer(
                text,
                padding=padding,
                truncation=truncation,
                max_length=max_length,
                return_tensors=return_tensors,
                return_token_type_ids=False,
            )
            return BatchFeature(data=dict(encoded))
        if not isinstance(text, str):
            raise TypeError(f"expected string or bytes-like object, got {type(text).__name__!r}")
        pictures = self.image_processor(images, return_tensors=return_tensors)
        ids = self._ids_with_slots(text, pictures.pop("num_img_tokens"))
        input_ids = torch.tensor([ids], dtype=torch.long)
        data = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), **pictures}
        return BatchFeature(data=data).convert_to_tensors(return_tensors)

    def _ids_with_slots(self, text: str, tokens: Sequence[int]) -> list[int]:
        """Tokenize every chunk between tags on its own, with BOS, as in the model's training."""
        chunks = _TAG.split(text)  # text, number, text, number, …, text
        numbers = [int(number) for number in chunks[1::2]]
        unique = sorted(set(numbers))
        if unique != list(range(1, len(unique) + 1)):
            raise AssertionError(
                "image_ids must start from 1, and must be continuous int, e.g. [1, 2, 3], "
                f"cannot be {unique}"
            )
        if len(unique) != len(tokens):
            raise AssertionError(
                "total images must be the same as the number of image tags, got "
                f"{len(unique)} image tags and {len(tokens)} images"
            )
        ids: list[int] = list(self.tokenizer(chunks[0]).input_ids)
        for number, chunk in zip(numbers, chunks[2::2], strict=True):
            ids += [-number] * tokens[number - 1]
            ids += self.tokenizer(chunk).input_ids
        return ids

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, add_generation_prompt: bool = False
    ) -> str:
        """Write messages as the prompt text of the official template (no BOS).

        Raises IndexError for no messages.
        """
        if not messages:
            raise IndexError("list index out of range: pass at least one message")
        rendered: str = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return rendered

    def decode(self, ids: Any, **options: Any) -> str:
        decoded: str = self.tokenizer.decode(ids, **options)
        return decoded

    def batch_decode(self, ids: Any, **options: Any) -> list[str]:
        decoded: list[str] = self.tokenizer.batch_decode(ids, **options)
        return decoded


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load the checkpoint's tokenizer. Raises ModelError.

    AutoTokenizer is not used, because on official folders it asks whether to run remote code.
    """
    path = folder / "tokenizer.json"
    if not os.path.isfile(path):
        raise ModelError(f"{folder} has no tokenizer.json: it is not a complete model folder.")
    config_path = folder / "tokenizer_config.json"
    config = read_json(config_path) if os.path.exists(config_path) else {}

    def name(key: str, default: str) -> str:
        value = config.get(key, default)
        return str(value["content"] if isinstance(value, dict) else value)

    try:
        return PreTrainedTokenizerFast(
            tokenizer_file=str(path),
            bos_token=name("bos_token", "<s>"),
            eos_token=name("eos_token", "<|endoftext|>"),
            pad_token=name("pad_token", "<|endoftext|>"),
            unk_token=name("unk_token", "<unk>"),
            padding_side="right",
            model_max_length=int(config.get("model_max_length", 131072)),
            clean_up_tokenization_spaces=False,
            chat_template=config.get("chat_template", CHAT_TEMPLATE),
        )
    except Exception as error:  # the tokenizers library raises bare Exception
        raise ModelError(f"{path} can't be read ({error}): fetch the model again.") from error
