"""The torch half of the tiny family: transformers' Llama layers with grouped keys, one regime."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import LlamaConfig, LlamaModel
from transformers.cache_utils import Cache

from assistant.families.checkpoint import read_json
from assistant.families.load import load_weights
from assistant.families.runtime import Linears, Progress, Step, Views
from tests.second_family.family import PATCH, SIDE, decoder_shape, is_matrix


class TinyModel(nn.Module):
    fused_layers = None

    def __init__(self, values: dict) -> None:
        super().__init__()
        self.shape = decoder_shape(values)
        keys = ("model_type", "architectures", "dtype")
        config = LlamaConfig(**{k: v for k, v in values.items() if k not in keys})
        config._attn_implementation = "sdpa"
        self.model = LlamaModel(config)
        self.vision = nn.Linear(3 * PATCH * PATCH, self.shape.hidden)
        self.lm_head = nn.Linear(self.shape.hidden, self.shape.vocab, bias=False)

    @property
    def embed_tokens(self) -> nn.Embedding:
        return self.model.embed_tokens

    @property
    def final_norm(self) -> nn.Module:
        return self.model.norm

    def regime_of(self, length: int) -> str:
        return "only"

    def longest(self, regime: str) -> int | None:
        return None

    def rotation(self, positions: torch.Tensor, regime: str, dtype: torch.dtype):
        raise NotImplementedError("there are no fused layers")

    def hidden_states(self, embeddings: torch.Tensor, cache: Cache | None) -> torch.Tensor:
        return self.model(inputs_embeds=embeddings[None], past_key_values=cache).last_hidden_state[
            0
        ]

    def encode(self, views: torch.Tensor, step: Step) -> torch.Tensor:
        return step(partial(self.vision, views.to(self.vision.weight)))


class TinyRuntime:
    def load(
        self,
        folder: Path,
        *,
        device: torch.device,
        dtype: torch.dtype,
        attention: str = "sdpa",
        linears: Linears | None = None,
        progress: Progress | None = None,
    ) -> TinyModel:
        model = TinyModel(read_json(folder / "config.json")).to(device)
        load_weights(
            model,
            folder,
            dtype=dtype,
            device=device,
            is_matrix=is_matrix,
            linears=linears,
            progress=progress,
        )
        return model.eval()

    def views(self, folder: Path) -> Views:
        return patches


def patches(image: Image.Image, detail: int) -> torch.Tensor:
    """A picture -> [16, 3 * 8 * 8] in 0..1."""
    pixels = torch.from_numpy(np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float32))
    n = SIDE // PATCH
    tiles = pixels.view(n, PATCH, n, PATCH, 3).permute(0, 2, 4, 1, 3)
    return tiles.reshape(n * n, 3 * PATCH * PATCH) / 255
