"""Parts of pictures: cut from the original pixels, and named after their place."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from assistant.pictures import decode
from assistant.pictures.dropped import find_dropped, parse_dropped
from assistant.pictures.source import open_source
from assistant.values.errors import PictureError
from assistant.values.region import Region
from tests.pictures.picture_files import encoded

NOISE = Image.effect_noise((90, 60), 80).convert("RGB")


def saved(folder: Path, name: str = "photo.png", **options: object) -> Path:
    path = folder / name
    path.write_bytes(encoded(NOISE, **options))
    return path


def test_a_part_has_the_pixels_of_the_original(tmp_path: Path) -> None:
    path = saved(tmp_path)
    part, whole = open_source(f"{path}@40,10,30,20"), open_source(path)
    assert part.region == Region(whole.sha256, 40, 10, 30, 20)
    assert (part.name, part.media_type) == ("photo.png@40,10,30,20", "image/png")
    assert (part.width, part.height, part.num_crops) == (30, 20, None)
    cut = NOISE.crop((40, 10, 70, 30))
    assert decode.pixels(part.data).tobytes() == cut.tobytes()
    assert part.pixels_sha256 == decode.open_bytes(encoded(cut)).pixels_sha256


def test_a_rectangle_is_one_of_the_picture_as_it_is_seen(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[274] = 6
    path = saved(tmp_path, "turned.jpg", format="JPEG", quality=95, exif=turned)
    part = open_source(f"{path}@50%,0,50%,50%")
    assert part.region is not None
    assert part.region.typed == "30,0,30,45"
    whole = decode.pixels(path.read_bytes())
    assert decode.pixels(part.data).tobytes() == whole.crop((30, 0, 60, 45)).tobytes()


def test_a_part_of_a_part_is_one_of_the_whole(tmp_path: Path) -> None:
    path = saved(tmp_path)
    outer = open_source(f"{path}@40,10,30,20")
    inner = decode.cut(outer, outer.data, (5, 5, 10, 10))
    direct = open_source(f"{path}@45,15,10,10")
    assert (inner.region, inner.name) == (direct.region, direct.name)
    assert inner.data == direct.data


def test_a_file_of_that_name_is_meant_before_a_part(tmp_path: Path) -> None:
    saved(tmp_path)
    odd = saved(tmp_path, "photo.png@1,2,3,4")
    assert open_source(str(odd)).region is None


def test_a_part_of_a_picture_that_is_not_there_names_the_picture(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"There is no file .*photo\.png; check"):
        open_source(f"{tmp_path}/photo.png@1,2,3,4")


def test_a_part_of_a_picture_cut_short_says_so(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(encoded(NOISE)[:-2000])
    part = open_source(f"{path}@0,50,90,10")
    assert "cut short" in part.notice


def test_parts_are_dropped_and_typed_as_pictures_are(tmp_path: Path) -> None:
    path = saved(tmp_path)
    one, other = f"{path}@1,2,3,4", f"{path}@50%,50%,10%,10%"
    assert parse_dropped(f"{one} {other}") == [one, other]
    found = find_dropped(f"{one} what is this?")
    assert (found.sources, found.words) == ((one,), "what is this?")
    assert parse_dropped("mail me@1,2,3,4") == []
