"""Crops that are the same run through the tower once, and nothing is another by that."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from assistant.core.weights import load_model
from assistant.phi3v.crops import crop_grid
from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.vision import distinct_crops
from tests.conftest import GOLDENS

FOLDER = GOLDENS / "tiny-phi3v"
MODEL = load_model(FOLDER, device=torch.device("cpu"), dtype=torch.float32)
CROPS = Phi3VImageProcessor.from_pretrained(FOLDER, local_files_only=True).crops


def almost_alike(number: int) -> torch.Tensor:
    """Small crops of one ground; each but the first differs in one number."""
    crop = torch.zeros(3, 96, 96)
    if number:
        crop[number % 3, 7 * number, 95 - number] = 1e-7
    return crop


@given(st.lists(st.integers(0, 4), min_size=1, max_size=17))
@settings(max_examples=25, deadline=None)
def test_only_crops_that_are_the_same_are_taken_for_the_same(numbers: list[int]) -> None:
    crops = torch.stack([almost_alike(one) for one in numbers])
    firsts, places = distinct_crops(crops)
    assert firsts == sorted(numbers.index(one) for one in set(numbers))
    assert torch.equal(crops[firsts][places], crops)


def encoded(crops: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, int]:
    """Return the features, and how often the tower ran."""
    steps = 0

    def step(compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return compute()

    with torch.inference_mode():
        features = MODEL.encode((crops, size), step)
    return features, steps - 1  # the last step lays the crops out


def picture(width: int, height: int) -> Image.Image:
    """A square on even ground, in one corner."""
    drawn = Image.new("RGB", (width, height), "navy")
    drawn.paste("orange", (5, 5, 90, 90))
    return drawn


@pytest.mark.parametrize(
    ("width", "height", "detail", "passes"),
    [(640, 480, 1, 1), (336, 336, 1, 1), (90, 800, 1, None), (1008, 672, 6, 3)],
)
def test_features_are_those_of_the_reference_way(
    width: int, height: int, detail: int, passes: int | None
) -> None:
    """Every crop through the tower, as the reference does."""
    crops, size = CROPS(picture(width, height), detail)
    found, ran = encoded(crops, size)
    with torch.inference_mode():
        (wanted,) = MODEL.vision(crops[None], torch.tensor([size]))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    if passes is not None:
        assert ran == passes
    assert ran <= len(crops) == crop_grid(width, height, detail).crops
