"""Rectangles as they are typed: pixels, percent, and names of files that look like one."""

from __future__ import annotations

import pytest

from assistant.values.errors import PictureError
from assistant.values.region import box_of, split_region


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("photo.jpg@2380,1380,300,300", ("photo.jpg", "2380,1380,300,300")),
        ("a@b.png@50%,0,12.5%,100%", ("a@b.png", "50%,0,12.5%,100%")),
        ("https://x.org/a.png@1,2,3,4", ("https://x.org/a.png", "1,2,3,4")),
        ("photo.jpg", ("photo.jpg", "")),
        ("photo.jpg@1,2,3", ("photo.jpg@1,2,3", "")),
        ("photo.jpg@-1,2,3,4", ("photo.jpg@-1,2,3,4", "")),
        ("photo.jpg@٣,2,3,4", ("photo.jpg@٣,2,3,4", "")),
        ("@1,2,3,4", ("@1,2,3,4", "")),
    ],
)
def test_a_rectangle_stands_after_the_last_at(source: str, found: tuple[str, str]) -> None:
    assert split_region(source) == found


@pytest.mark.parametrize(
    ("typed", "box"),
    [
        ("10,20,30,40", (10, 20, 30, 40)),
        ("50%,50%,25%,10%", (200, 150, 100, 30)),
        ("0,0,100%,100%", (0, 0, 400, 300)),
        ("390,290,50,50", (390, 290, 10, 10)),
        ("33.3%,0,33.4%,1", (133, 0, 134, 1)),
        (" 10, 20 ,50%, 40 ", (10, 20, 200, 40)),
    ],
)
def test_pixels_and_percent_are_cut_at_the_edges(
    typed: str, box: tuple[int, int, int, int]
) -> None:
    assert box_of(typed, 400, 300, "a.png") == box


@pytest.mark.parametrize("typed", ["400,0,5,5", "0,0,0,5", "0,0,0.4%,0.1%"])
def test_an_empty_part_is_refused_with_the_size_of_the_picture(typed: str) -> None:
    with pytest.raises(PictureError, match=r"of a\.png is empty: that picture has 400 x 300"):
        box_of(typed, 400, 300, "a.png")


@pytest.mark.parametrize("typed", ["", "1,2,3", "left", "1,2,3,4,5", "9" * 400 + ",0,1,1"])
def test_what_is_no_rectangle_is_refused_with_its_form(typed: str) -> None:
    with pytest.raises(PictureError, match="give left,top,width,height in pixels or percent"):
        box_of(typed, 400, 300, "a.png")
