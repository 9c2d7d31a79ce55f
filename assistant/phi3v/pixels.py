"""Pixels of a picture's crops, exactly as the reference computes them.

Source: ``image_processing_phi3_v.py``. PIL resizes, torch normalises; no torchvision. Imports
nothing of ours but :mod:`assistant.phi3v.crops`: phichat-vllm takes a copy along.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from assistant.phi3v.crops import CROP, plan_hd

# OpenAI's CLIP statistics, used when a preprocessor config has none.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def cut(
    image: Image.Image,
    num_crops: int,
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
) -> tuple[torch.Tensor, tuple[int, int]]:
    """Cut one picture -> ([1 + rows * columns, 3, 336, 336] float32, (height, width)).

    The global view comes first; no padding crops. Raises ValueError for a picture so thin that its
    short side vanishes.
    """
    # 1) resize and pad
    image = image.convert("RGB")
    plan = plan_hd(*image.size, num_crops)
    if plan.transposed:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    image = image.resize(plan.resized, Image.Resampling.BILINEAR)
    if plan.padded_height != plan.resized[1]:
        canvas = Image.new("RGB", (plan.resized[0], plan.padded_height), (255, 255, 255))
        canvas.paste(image, (0, plan.top))
        image = canvas
    if plan.transposed:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    # 2) normalise
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 255
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    # 3) cut
    overview = torch.nn.functional.interpolate(
        pixels[None], size=(CROP, CROP), mode="bicubic"
    )  # no antialiasing: as in the reference
    rows, columns = plan.grid.rows, plan.grid.columns
    tiles = pixels.reshape(3, rows, CROP, columns, CROP).permute(1, 3, 0, 2, 4)
    crops = torch.cat((overview, tiles.reshape(rows * columns, 3, CROP, CROP)))
    return crops, (plan.grid.height, plan.grid.width)
