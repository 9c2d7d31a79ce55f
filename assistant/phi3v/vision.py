"""Vision tower: CLIP, HD arrangement of the crops, projector.

Source: ``image_embedding_phi3_v.py`` of the reference (order "sub_glb"). Parameter names are the
official checkpoint's.
"""

from __future__ import annotations

import torch
from torch import nn

from assistant.phi3v.clip_model import ClipVision
from assistant.phi3v.crops import CROP
from assistant.phi3v.plain_config import PlainConfig

_SAMPLED = 48
"""Pixels from one to the next that are compared first: crops mostly differ in one of those."""


class ClipTower(nn.Module):
    """CLIP without the layers that Phi-3-vision never reads.

    The features are ``hidden_states[-2]``, so the last encoder layer and the final norm of the
    checkpoint are not built.
    """

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        clip = config.clip_config
        self.vision_model = ClipVision(clip, clip.num_hidden_layers - 1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Encode ``crops`` [N, 3, 336, 336] -> features [N, patches, clip_hidden] without CLS."""
        features: torch.Tensor = self.vision_model(crops)[:, 1:]
        return features


def distinct_crops(crops: torch.Tensor) -> tuple[list[int], list[int]]:
    """Find the crops of ``crops`` [N, 3, 336, 336] that are the same, number for number.

    Returns the first of each, and for every crop which of those it is. A picture of one crop is the
    same as its global view, and even ground fills whole crops.
    """
    firsts: list[int] = []
    places: list[int] = []
    samples = crops[:, :, ::_SAMPLED, ::_SAMPLED].flatten(1).tolist()
    for number, sample in enumerate(samples):
        same = (
            place
            for place, first in enumerate(firsts)
            if samples[first] == sample and torch.equal(crops[first], crops[number])
        )
        place = next(same, len(firsts))
        if place == len(firsts):
            firsts.append(number)
        places.append(place)
    return firsts, places


class Phi3VImageEmbedding(nn.Module):
    """Crops of a picture -> its embeddings in the prompt."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        merged = 4 * config.clip_config.hidden_size  # 2 x 2 patches side by side
        self.img_processor = ClipTower(config)
        self.glb_GN = nn.Parameter(torch.zeros(1, 1, merged))
        self.sub_GN = nn.Parameter(torch.zeros(1, 1, 1, merged))
        self.img_projection = nn.Sequential(
            nn.Linear(merged, config.hidden_size),
            nn.GELU(),
            nn.Linear(config.hidden_size, config.hidden_size),
        )

    def encode_crops(self, crops: torch.Tensor) -> torch.Tensor:
        """Encode ``crops`` [N, 3, 336, 336] -> merged features [N, side, side, 4 * clip_hidden].

        The channels of a 2 x 2 block are laid out as (dy, dx, c).
        """
        parameter = self.glb_GN
        patches = self.img_processor(crops.to(parameter.device, parameter.dtype))
        N, P, C = patches.shape
        side = int(P**0.5) // 2
        blocks = patches.view(N, side, 2, side, 2, C).permute(0, 1, 3, 2, 4, 5)
        merged: torch.Tensor = blocks.reshape(N, side, side, 4 * C)
        return merged

    def arrange(self, merged: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        """Lay out one picture's merged features and project them.

        ``merged`` [1 + rows * columns, side, side, 4C], the global view first -> [tokens, hidden]:
        the crops as one large picture, a separator after each of its rows, one between, then the
        global view the same way.
        """
        side, width = merged.shape[1], merged.shape[-1]
        crops = merged[1:].view(rows, columns, side, side, width).permute(0, 2, 1, 3, 4)
        sequence = torch.cat(
            (
                self._with_row_ends(crops.reshape(rows * side, columns * side, width)),
                self.glb_GN[0],
                self._with_row_ends(merged[0]),
            )
        )
        embedded: torch.Tensor = self.img_projection(sequence)
        return embedded

    def forward(self, pixel_values: torch.Tensor, image_sizes: torch.Tensor) -> list[torch.Tensor]:
        """Encode each picture -> embeddings [tokens, hidden].

        ``pixel_values`` [n, crops, 3, 336, 336], zero crops at the end; ``image_sizes`` [n, 2]
        height and width in pixels after the HD transform. Only the real crops run through the
        tower; the reference runs ``num_crops + 1`` for every picture. Raises ValueError when a size
        needs more crops than there are.
        """
        pictures = []
        for crops, (height, width) in zip(pixel_values, image_sizes.tolist(), strict=True):
            rows, columns = height // CROP, width // CROP
            if rows * columns + 1 > crops.shape[0]:
                raise ValueError(
                    f"image size {height}x{width} needs {rows * columns + 1} crops, "
                    f"pixel_values has {crops.shape[0]}"
                )
            merged = self.encode_crops(crops[: rows * columns + 1])
            pictures.append(self.arrange(merged, rows, columns))
        return pictures

    def _with_row_ends(self, features: torch.Tensor) -> torch.Tensor:
        """Append sub_GN to each row: [rows, columns, 4C] -> [rows * (columns + 1), 4C]."""
        rows, _, width = features.shape
        ends = self.sub_GN[0].expand(rows, 1, width)
        return torch.cat((features, ends), dim=1).reshape(-1, width)
