"""Pictures to learn from: their facts are what they show, their labels lie where it is."""

from __future__ import annotations

from pathlib import Path
from queue import Queue
from random import Random
from typing import Any

import numpy as np
import pytest

from assistant.phi3v.image_processing import Phi3VImageProcessor
from training.demo_model.batches import encode_reply
from training.demo_model.feed import Order, produce
from training.demo_model.pictures import charts, kinds, prints, shapes
from training.demo_model.pictures.drawing import (
    CELLS,
    WHAT,
    Drawing,
    Mark,
    box_points,
    crops,
    labels,
    tilt,
)
from training.demo_model.replies import SPELL, SPELT, plain


def _shown(drawing: Drawing, num_crops: int = 1) -> list[str]:
    """Characters and shapes among the labels of a picture."""
    numbers = np.unique(labels(drawing, num_crops)[..., 0])
    return [WHAT[number] for number in numbers if number]


@pytest.mark.parametrize("count", range(1, 7))
def test_shapes_are_listed_from_left_to_right(count: int) -> None:
    for seed in range(4):
        drawing = shapes.sample(Random(seed), count)
        rows = drawing.facts["shapes"]
        assert [row[2] for row in rows] == sorted(row[2] for row in rows)
        assert set(_shown(drawing)) == {row[1] for row in rows}


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("count", range(1, 7))
def test_regular_shapes_are_apart_and_inside_at_round_places(count: int, small: bool) -> None:
    for seed in range(8):
        drawing = shapes.regular(Random(seed), count, small=small, strength=0)
        assert len(drawing.marks) == len(drawing.facts["shapes"]) == count
        boxes = []
        for mark in drawing.marks:
            xs, ys = zip(*mark.points, strict=True)
            boxes.append((min(xs), min(ys), max(xs), max(ys)))
            assert all(0 <= x <= drawing.image.width for x in xs)
            assert all(0 <= y <= drawing.image.height for y in ys)
            assert abs(min(xs) + max(xs) - round((min(xs) + max(xs)) / 10) * 10) < 0.01
        for number, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[number + 1 :]:
                is_beside = other[0] >= right or other[2] <= left
                assert is_beside or other[1] >= bottom or other[3] <= top
        if not small:
            assert set(_shown(drawing)) == {row[1] for row in drawing.facts["shapes"]}


@pytest.mark.parametrize("num_crops", [1, 4])
@pytest.mark.parametrize("seed", range(6))
def test_a_printed_word_is_labelled_in_order(seed: int, num_crops: int) -> None:
    drawing = prints.sign(Random(seed), sizes=(0.2, 0.3), strength=0)
    for line in drawing.facts["lines"]:
        marks = [mark for mark in drawing.marks if mark.what in line]
        lefts = [mark.points[0][0] for mark in marks]
        assert lefts
    assert set(_shown(drawing, num_crops)) <= set("".join(drawing.facts["lines"]))


@pytest.mark.parametrize("seed", range(8))
def test_a_chart_has_one_tallest_and_one_shortest_bar(seed: int) -> None:
    drawing = charts.sample(Random(seed))
    values, bars = drawing.facts["values"], [m for m in drawing.marks if m.what == "bar"]
    assert values.count(max(values)) == values.count(min(values)) == 1
    assert len(bars) == len(values) == len(drawing.facts["names"])


def test_a_tilted_picture_keeps_its_marks_on_what_they_mark() -> None:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (200, 100), "white")
    ImageDraw.Draw(image).rectangle((150, 10, 180, 30), fill="red")
    marked = Drawing(image, {}, (Mark(box_points(150, 10, 180, 30), "square", "red"),))
    for degrees in (-10, 10, 90):
        turned = tilt(marked, degrees, (255, 255, 255))
        ((mark,), (xs, ys)) = turned.marks, zip(*turned.marks[0].points, strict=True)
        middle = (round(sum(xs) / 4), round(sum(ys) / 4))
        assert mark.what == "square"
        assert turned.image.getpixel(middle) == (255, 0, 0)


def test_a_label_is_where_its_mark_is_in_crops_and_overview() -> None:
    from PIL import Image

    image = Image.new("RGB", (1000, 1000), "white")
    corner = Mark(box_points(760, 760, 990, 990), "square", "red")
    overview, *tiles = labels(Drawing(image, {}, (corner,)), 4)
    assert [bool(tile[..., 0].any()) for tile in tiles] == [False, False, False, True]
    rows, columns = np.nonzero(overview[..., 0])
    assert rows.min() == columns.min() >= CELLS * 3 // 4


@pytest.mark.parametrize("seed", range(12))
def test_the_only_crop_is_the_products(seed: int) -> None:
    drawing, _ = kinds.draw(Random(seed))
    cut, (height, width) = Phi3VImageProcessor(image_mean=(0, 0, 0), image_std=(1, 1, 1)).crops(
        drawing.image, 1
    )
    assert (height, width) == (336, 336)
    expected = (cut[1].permute(1, 2, 0) * 255).round().numpy()
    (found,), grid = crops(drawing, 1)
    assert grid == (1, 1)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.slow
def test_a_process_speaks_of_pictures_whose_crops_have_arrived(tmp_path: Path) -> None:
    from assistant.demo_model import folder

    arrived, files, batches = [0], list[str](), Queue[Any]()

    class Chunks:
        def put(self, chunk: tuple[int, int, int, list[int], str]) -> None:
            files.append(chunk[-1])
            arrived[0] += 1
            seen.update(range(chunk[1], chunk[1] + chunk[2]))

    seen: set[int] = set()
    order = Order(0, 1000, 2000, 5, 2, 4.0, folder(), tmp_path, most=96)
    produce(order, Chunks(), batches, arrived)
    made = [batches.get_nowait() for _ in range(batches.qsize())]
    assert made
    spoken = {int(crop) for batch in made for group in batch.pictures for crop in group.crops.flat}
    assert spoken <= seen
    assert min(seen) == 1000
    sizes = sum(Path(name).stat().st_size for name in files)
    assert sizes == len(seen) * (336 * 336 * 3 + CELLS * CELLS * 3)


def test_what_is_read_is_one_character_a_token() -> None:
    from assistant.demo_model import folder
    from assistant.phi3v.vocabulary import Vocabulary

    vocabulary = Vocabulary.from_folder(folder())
    reply = f'The bars are "{SPELL}Mon{SPELT}", "{SPELL}a b{SPELT}" and "{SPELL}9{SPELT}". So.'
    ids = encode_reply(vocabulary, reply)
    assert vocabulary.decode(ids) == plain(reply)
    assert all(len(vocabulary.text([token]).strip()) <= 1 for token in ids[-6:-3])


def test_a_run_begins_with_dark_print_on_white() -> None:
    """No colours, no treatment and no small print are in the first pictures."""
    pages = [kinds.draw(Random(f"{seed}"), early=True)[0] for seed in range(60)]
    plain = [one for one in pages if one.facts["family"] == "page" and one.marks]
    printed = [
        np.asarray(one.image.convert("L")) for one in plain if one.facts["ground"] == "light"
    ]
    assert len(printed) > 30
    assert all((one[0, -1], one.min() <= 50) == (255, True) for one in printed)
