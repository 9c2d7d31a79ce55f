"""CLIP's vision transformer, its weights by the names of the official checkpoint.

Source: ``modeling_clip.py`` of transformers. A model of ours, because transformers' takes seconds
to import.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from assistant.phi3v.plain_config import ClipConfig
from assistant.values.errors import ModelError


def quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "quick_gelu": quick_gelu,
    "gelu": gelu,
}


def empty_embedding(count: int, width: int) -> nn.Embedding:
    """Make a table of zeros: drawing random numbers on the meta device imports torch's compiler."""
    return nn.Embedding(count, width, _weight=torch.zeros(count, width))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention within each of ``q`` [N, S, hidden]: [N, S, hidden]."""
    N, S, width = q.shape
    q, k, v = (one.view(N, S, heads, -1).transpose(1, 2) for one in (q, k, v))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(N, S, width)


class ClipVision(nn.Module):
    """Pixels [N, 3, size, size] -> hidden states [N, 1 + patches, hidden], without a final norm.

    ``layers`` are the encoder's that are built, which may be fewer than the configuration's.
    """

    def __init__(self, sizes: ClipConfig, layers: int) -> None:
        super().__init__()
        self.embeddings = _Embeddings(sizes)
        self.pre_layrnorm = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)
        self.encoder = _Encoder(sizes, layers)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.pre_layrnorm(self.embeddings(pixels))
        for layer in self.encoder.layers:
            hidden = layer(hidden)
        return hidden


class _Embeddings(nn.Module):
    def __init__(self, sizes: ClipConfig) -> None:
        super().__init__()
        width, patch = sizes.hidden_size, sizes.patch_size
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.patch_embedding = nn.Conv2d(
            sizes.num_channels, width, kernel_size=patch, stride=patch, bias=False
        )
        self.position_embedding = empty_embedding((sizes.image_size // patch) ** 2 + 1, width)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat((first, patches), dim=1) + self.position_embedding.weight


class _Encoder(nn.Module):
    def __init__(self, sizes: ClipConfig, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ClipLayer(sizes) for _ in range(layers))


class ClipLayer(nn.Module):
    def __init__(self, sizes: ClipConfig) -> None:
        super().__init__()
        width, eps = sizes.hidden_size, sizes.layer_norm_eps
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.self_attn = _Attention(sizes)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = _Mlp(sizes)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = hidden + self.self_attn(self.layer_norm1(hidden))
        summed: torch.Tensor = hidden + self.mlp(self.layer_norm2(hidden))
        return summed


class _Attention(nn.Module):
    takes_narrow = True

    def __init__(self, sizes: ClipConfig) -> None:
        super().__init__()
        width, self.heads = sizes.hidden_size, sizes.num_attention_heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.attend = attend

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        q, k, v = (product(hidden) for product in (self.q_proj, self.k_proj, self.v_proj))
        projected: torch.Tensor = self.out_proj(self.attend(q, k, v, self.heads))
        return projected


class _Mlp(nn.Module):
    takes_narrow = True

    def __init__(self, sizes: ClipConfig) -> None:
        super().__init__()
        if sizes.hidden_act not in _ACTIVATIONS:
            raise ModelError(
                f"config.json can't be used: {sizes.hidden_act!r} is no activation of CLIP."
            )
        self.activation_name = sizes.hidden_act
        self.activation = _ACTIVATIONS[sizes.hidden_act]
        self.fc1 = nn.Linear(sizes.hidden_size, sizes.intermediate_size)
        self.fc2 = nn.Linear(sizes.intermediate_size, sizes.hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc2(self.activation(self.fc1(hidden)))
        return out
