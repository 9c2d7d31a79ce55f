"""Scenes: a seed names a picture, and the picture shows its facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from random import Random

import numpy as np
import pytest

from training.demo_model.scene_drawing import draw
from training.demo_model.scenes import (
    COLOURS,
    KINDS,
    Scene,
    place,
    sample_empty,
    sample_ground,
    sample_page,
    sample_size,
)


def one_shape(seed: int) -> Scene:
    """Sample a scene of a single shape, of any size."""
    rng, shape = Random(seed), None
    scene = Scene(*sample_size(rng), *sample_ground(rng), (), jpeg_quality=rng.choice((None, 70)))
    while shape is None:
        side = rng.uniform(0.15, 0.85) * min(scene.width, scene.height)
        shape = place(rng, rng.choice(KINDS), rng.choice(COLOURS), scene, side)
    return replace(scene, shapes=(shape,))


@pytest.mark.parametrize("sample", [sample_empty, sample_page])
def test_a_seed_names_a_picture(sample: Callable[[Random], Scene]) -> None:
    for seed in range(8):
        first, second = (sample(Random(seed)) for _ in range(2))
        assert first == second
        assert draw(first).tobytes() == draw(second).tobytes()
        assert sample(Random(seed + 1)) != first


@pytest.mark.parametrize("seed", range(60))
def test_a_shape_is_inside_and_can_be_seen(seed: int) -> None:
    scene = one_shape(seed)
    assert 200 <= min(scene.width, scene.height) <= max(scene.width, scene.height) <= 1000
    (shape,) = scene.shapes
    assert (shape.colour, scene.ground) not in (("white", "light"), ("black", "dark"))
    left, top, right, bottom = shape.box
    assert left >= -1
    assert top >= -1
    assert right <= scene.width + 1
    assert bottom <= scene.height + 1


@pytest.mark.parametrize("seed", range(30))
def test_the_middle_of_a_shape_has_its_colour_and_a_corner_the_ground(seed: int) -> None:
    scene = one_shape(seed)
    image = draw(scene)
    assert image.size == (scene.width, scene.height)
    (shape,) = scene.shapes
    points = shape.points[:1] if shape.kind == "circle" else shape.points
    x = round(sum(p[0] for p in points) / len(points))
    y = round(sum(p[1] for p in points) / len(points))
    found = np.asarray(image)[y, x].astype(int)
    assert np.abs(found - shape.rgb).max() <= 40  # JPEG moves colours a little
    left, top, right, bottom = shape.box
    free = [
        (a, b)
        for a, b in product((2, scene.width - 3), (2, scene.height - 3))
        if not (left - 9 <= a <= right + 9 and top - 9 <= b <= bottom + 9)
    ]
    assert free
    for a, b in free:
        assert np.abs(np.asarray(image)[b, a].astype(int) - scene.ground_rgb).max() <= 20


def test_a_page_is_dense() -> None:
    assert np.mean([len(sample_page(Random(seed)).shapes) for seed in range(10)]) > 8
