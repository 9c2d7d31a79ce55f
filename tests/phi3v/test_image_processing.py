"""Crops, sizes and token counts are the reference's."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image
from safetensors import safe_open

from assistant.phi3v.crops import CROP, CropGrid, crop_grid, plan_hd
from assistant.phi3v.image_processing import Phi3VImageProcessor
from tests.conftest import GOLDENS
from tests.tiers import few_quick

GOLDEN = json.loads((GOLDENS / "image_processing.json").read_text(encoding="utf-8"))
CASES = [
    pytest.param(one["image"], result, id=f"{one['image']}-{result['num_crops']}")
    for one in GOLDEN["images"]
    for result in one["results"]
]


@pytest.mark.parametrize(("name", "want"), few_quick(CASES, 20))
def test_pixels_sizes_and_counts(name: str, want: dict[str, Any]) -> None:
    image = Image.open(GOLDENS / "images" / name)
    processor = Phi3VImageProcessor(num_crops=want["num_crops"])
    if "pixel_values_shape" not in want:
        with pytest.raises(ValueError, match="height and width must be > 0"):
            processor(image)
        return
    got = processor(image)
    assert got["num_img_tokens"] == [want["num_img_tokens"]]
    assert processor.calc_num_image_tokens(image) == want["calc_num_image_tokens"]
    assert got["image_sizes"][0].tolist() == want["image_sizes_hw"]
    pixels = got["pixel_values"]
    assert list(pixels.shape) == want["pixel_values_shape"]

    key = f"{name}|nc{want['num_crops']}"
    with safe_open(GOLDENS / "image_processing.safetensors", "pt") as tensors:
        at, values = tensors.get_tensor(f"{key}.idx").long(), tensors.get_tensor(f"{key}.val")
        mean = tensors.get_tensor(f"{key}.mean")
    assert float((pixels[0].reshape(-1)[at] - values).abs().max()) <= 1e-4
    real = pixels[0, : want["real_crops_including_global"]]
    assert float((real.double().mean(dim=(2, 3)) - mean).abs().max()) <= 1e-4
    assert not pixels[0, want["real_crops_including_global"] :].any()


def test_size_table() -> None:
    for row in GOLDEN["size_table"]:
        width, height, num_crops, hd_width, hd_height, tokens = row[:6]
        if len(row) > 6:
            with pytest.raises(ValueError, match="must be > 0"):
                crop_grid(width, height, num_crops)
            continue
        grid = crop_grid(width, height, num_crops)
        assert (grid.width, grid.height, grid.tokens()) == (hd_width, hd_height, tokens), row


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    num_crops=st.integers(1, 40),
)
def test_geometry_invariants(width: int, height: int, num_crops: int) -> None:
    try:
        plan = plan_hd(width, height, num_crops)
    except ValueError:
        assert max(width, height) / min(width, height) > CROP
        return
    grid = plan.grid
    assert 1 <= grid.rows * grid.columns <= num_crops
    assert 0 <= plan.padded_height - plan.resized[1] < CROP
    turned = crop_grid(height, width, num_crops)
    if width != height:
        assert (turned.rows, turned.columns) == (grid.columns, grid.rows)
    if num_crops == 1:
        assert grid == CropGrid(1, 1)


def test_tokens_for_other_crop_sizes() -> None:
    assert CropGrid(1, 1).tokens(144) == 313
    assert CropGrid(1, 1).tokens(16) == 41
    with pytest.raises(ValueError, match="square"):
        CropGrid(1, 1).tokens(15)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4, 3), np.uint8), "picture.png", None, [[Image.new("RGB", (2, 2))]]],
    ids=["array", "path", "none", "nested"],
)
def test_anything_but_pil_pictures_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="Invalid image type"):
        Phi3VImageProcessor(num_crops=1)(wrong)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(IndexError):
        Phi3VImageProcessor()([])


def test_exif_is_left_to_the_room_that_opens_pictures() -> None:
    image = Image.open(GOLDENS / "images" / "exif6_500x300.jpg")
    assert Phi3VImageProcessor(num_crops=16)(image)["image_sizes"][0].tolist() == [1008, 1680]


def test_a_picture_is_not_changed_by_processing() -> None:
    image = Image.open(GOLDENS / "images" / "rgba_320x240.png")
    before = hashlib.sha256(image.tobytes()).digest()
    Phi3VImageProcessor(num_crops=4)(image)
    assert hashlib.sha256(image.tobytes()).digest() == before
    assert math.prod(image.size) == 320 * 240
