"""Processor by the interface that vLLM's own model class of Phi-3-vision asks for.

Prompts are vLLM's affair: it splits them at the picture tags and counts positions by
``calc_num_image_tokens_from_image_size``. Pixels are made here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from transformers import AutoTokenizer, BatchFeature, ProcessorMixin
from transformers.utils import cached_file

from phichat_vllm.shared.crops import crop_grid
from phichat_vllm.shared.pixels import CLIP_MEAN, CLIP_STD, cut

MOST_PICTURES = 256
"""Pictures of one prompt that have a tag. vLLM looks tags up by number, from a list."""


class Phi3VImageProcessor:
    """Values of preprocessor_config.json."""

    model_input_names = ("pixel_values", "image_sizes")

    def __init__(
        self,
        num_crops: int = 16,
        image_mean: Sequence[float] = CLIP_MEAN,
        image_std: Sequence[float] = CLIP_STD,
        num_img_tokens: int = 144,
        **_: Any,
    ) -> None:
        self.num_crops, self.num_img_tokens = num_crops, num_img_tokens
        self.image_mean, self.image_std = tuple(image_mean), tuple(image_std)


class Phi3VProcessor(ProcessorMixin):  # type: ignore[misc]
    """Processor of one number of crops; the name is one that vLLM looks for."""

    def __init__(self, image_processor: Phi3VImageProcessor, tokenizer: Any) -> None:
        # not by ProcessorMixin, which wants an image processor that is registered as well
        self.image_processor, self.tokenizer = image_processor, tokenizer
        self.chat_template = None
        self.img_tokens = [f"<|image_{n}|>" for n in range(1, MOST_PICTURES + 1)]

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, tokenizer: Any = None, **options: Any
    ) -> Self:
        """Read a folder or hub id; ``options`` replace values of preprocessor_config.json.

        vLLM passes the request's ``mm_processor_kwargs`` here: ``num_crops`` is the one of use.
        """
        file = cached_file(
            name_or_path, "preprocessor_config.json", revision=options.get("revision")
        )
        values = json.loads(Path(file).read_text(encoding="utf-8"))
        if tokenizer is None:
            tokenizer = AutoTokenizer.from_pretrained(
                name_or_path, revision=options.get("revision")
            )
        return cls(Phi3VImageProcessor(**{**values, **options}), tokenizer)

    def __call__(
        self,
        text: str | list[str] | None = None,
        images: Image.Image | Sequence[Image.Image] | None = None,
        **_: Any,
    ) -> BatchFeature:
        """Return ``input_ids`` of ``text``, pixels and sizes of ``images``.

        ``pixel_values`` are a list of [1 + rows * columns, 3, 336, 336]: the real crops alone,
        which vLLM groups by their number. Raises ValueError for a picture so thin that it vanishes.
        """
        values: dict[str, Any] = {}
        if text is not None:
            values["input_ids"] = self.tokenizer(text, return_tensors="pt").input_ids
        if images:
            given = [images] if isinstance(images, Image.Image) else images
            own = self.image_processor
            made = [cut(one, own.num_crops, own.image_mean, own.image_std) for one in given]
            values["pixel_values"] = [crops for crops, _ in made]
            values["image_sizes"] = torch.tensor([size for _, size in made])
        return BatchFeature(values)

    def calc_num_image_tokens_from_image_size(self, *, width: int, height: int) -> int:
        """Count the positions of a picture of this size."""
        own = self.image_processor
        return crop_grid(width, height, own.num_crops).tokens(own.num_img_tokens)
