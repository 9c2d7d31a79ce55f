"""Scenes: a seed names a picture, and the picture shows its facts."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
import pytest

from training.demo_model.drawing import draw
from training.demo_model.scenes import COLOURS, KINDS, sample, sample_page


@pytest.mark.parametrize("seed", range(8))
def test_a_seed_names_a_picture(seed: int) -> None:
    first, second = (sample(Random(seed), 1 + seed % 2) for _ in range(2))
    assert first == second
    assert draw(first).tobytes() == draw(second).tobytes()
    assert sample(Random(seed + 1), 1 + seed % 2) != first


@pytest.mark.parametrize("seed", range(60))
def test_a_scene_keeps_the_promises_of_its_scope(seed: int) -> None:
    scene = sample(Random(seed), 1 + seed % 2)
    assert len(scene.shapes) == 1 + seed % 2
    assert 200 <= min(scene.width, scene.height) <= max(scene.width, scene.height) <= 1000
    assert len(set(scene.facts)) == len(scene.facts)
    for shape in scene.shapes:
        assert (shape.colour, scene.ground) not in (("white", "light"), ("black", "dark"))
        left, top, right, bottom = shape.box
        assert left >= -1
        assert top >= -1
        assert right <= scene.width + 1
        assert bottom <= scene.height + 1
    order = [(COLOURS.index(c), KINDS.index(k)) for c, k in scene.facts]
    assert order == sorted(order)


@pytest.mark.parametrize("seed", range(30))
def test_the_middle_of_a_shape_has_its_colour_and_a_corner_the_ground(seed: int) -> None:
    scene = sample(Random(seed), 1)
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
