"""HEIC, made by the library's own encoder: rotation, colours, depth, and what is damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from assistant.pictures import decode
from assistant.pictures.decoder import examine, heif
from assistant.pictures.decoder.pool import POOL
from assistant.pictures.dropped import parse_dropped
from assistant.pictures.source import open_each, open_source
from assistant.values.errors import PictureError
from tests.pictures.picture_files import encoded
from tests.pictures.profiles import DISPLAY_P3

pillow_heif = pytest.importorskip("pillow_heif")
pillow_heif.register_heif_opener()

EXACT = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}


def corner(size: tuple[int, int] = (90, 60)) -> Image.Image:
    """A red picture, blue at the top left."""
    image = Image.new("RGB", size, (200, 30, 60))
    image.paste((0, 0, 255), (0, 0, size[0] // 3, size[1] // 3))
    return image


def near(found: object, wanted: tuple[int, int, int], most: int = 6) -> bool:
    assert isinstance(found, tuple)
    return all(abs(one - other) <= most for one, other in zip(found, wanted, strict=True))


def test_a_photo_of_a_phone_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(encoded(corner(), "HEIF", **EXACT))
    (file,) = open_each(path)
    assert (file.width, file.height, file.media_type) == (90, 60, "image/heic")
    assert (file.data, file.origin, file.name) == (path.read_bytes(), None, "IMG_1.HEIC")
    assert decode.pixels(file.data).tobytes() == corner().tobytes()
    assert file.pixels_sha256 == decode.open_bytes(encoded(corner())).pixels_sha256
    assert parse_dropped(str(path)) == [str(path)]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_it_is_upright_once(orientation: int) -> None:
    turned = Image.Exif()
    turned[274] = orientation
    data = encoded(corner(), "HEIF", exif=turned.tobytes(), **EXACT)
    assert b"irot" in data
    jpeg = encoded(corner(), "JPEG", exif=turned, quality=95)
    seen, same = decode.pixels(data), decode.pixels(jpeg)
    assert seen.size == same.size
    for place in ((2, 2), (seen.width - 3, 2), (2, seen.height - 3)):
        assert near(seen.getpixel(place), same.getpixel(place))  # type: ignore[arg-type]


def test_a_grid_of_tiles_is_one_picture() -> None:
    noise = Image.effect_noise((300, 200), 80).convert("RGB")
    data = encoded(noise, "HEIF", tile_size=128, **EXACT)
    assert b"grid" in data
    assert decode.pixels(data).tobytes() == noise.tobytes()


def test_display_p3_is_converted_for_the_model_and_the_screen() -> None:
    image = Image.new("RGB", (64, 48), (60, 160, 60))
    data = encoded(image, "HEIF", icc_profile=DISPLAY_P3, **EXACT)
    wanted = decode.pixels(encoded(image, "PNG", icc_profile=DISPLAY_P3)).getpixel((5, 5))
    assert wanted != (60, 160, 60)
    assert decode.pixels(data).getpixel((5, 5)) == wanted
    assert near(decode.pixels(data, (8, 6)).getpixel((4, 3)), wanted, 1)  # type: ignore[arg-type]


def test_display_p3_that_is_named_by_numbers_is_converted_too() -> None:
    image = Image.new("RGB", (64, 48), (60, 160, 60))
    wanted = decode.pixels(encoded(image, "PNG", icc_profile=DISPLAY_P3)).getpixel((5, 5))
    plain = encoded(image, "AVIF", quality=100, subsampling="4:4:4")
    place = plain.index(b"colrnclx") + 8
    for numbers, is_converted in ((b"\0\x0c\0\x0d", True), (b"\0\x0c\0\x10", False)):
        data = plain[:place] + numbers + plain[place + 4 :]
        found = decode.pixels(data).getpixel((5, 5))
        assert near(found, wanted) is is_converted  # type: ignore[arg-type]
    numbered = encoded(
        image, "HEIF", **EXACT, color_primaries=12, transfer_characteristic=13, full_range_flag=1
    )
    if b"colrnclx\0\x0c" in numbered:  # not every pillow-heif writes them
        assert near(decode.pixels(numbered).getpixel((5, 5)), wanted)  # type: ignore[arg-type]


def test_transparent_places_are_white() -> None:
    image = corner().convert("RGBA")
    image.paste((0, 0, 0, 0), (60, 30, 90, 60))
    seen = decode.pixels(encoded(image, "HEIF", **EXACT))
    assert near(seen.getpixel((80, 50)), (255, 255, 255))
    assert near(seen.getpixel((2, 2)), (0, 0, 255))


def test_of_several_pictures_in_a_file_the_main_one_is_shown(tmp_path: Path) -> None:
    other = Image.new("RGB", (30, 30), "green")
    path = tmp_path / "burst.heic"
    path.write_bytes(
        encoded(other, "HEIF", save_all=True, append_images=[corner()], primary_index=1, **EXACT)
    )
    (file,) = open_each(path)
    assert (file.width, file.height) == (90, 60)


def test_a_part_of_it_is_cut_from_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(encoded(corner(), "HEIF", **EXACT))
    part = open_source(f"{path}@20,10,30,30")
    assert decode.pixels(part.data).tobytes() == corner().crop((20, 10, 50, 40)).tobytes()


def test_damaged_ones_are_one_sentence(tmp_path: Path) -> None:
    data = encoded(corner((600, 400)), "HEIF", quality=90)
    for end in (24, 200, len(data) // 2, len(data) - 40):
        path = tmp_path / "cut.heic"
        path.write_bytes(data[:end])
        with pytest.raises(PictureError, match=r"cut\.heic is damaged or incomplete"):
            open_source(path)


def test_too_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "MAX_PIXELS", 5000)
    with pytest.raises(PictureError, match="has more than 0 million pixels"):
        examine.decoded(encoded(corner(), "HEIF"), "large.heic")


def test_without_the_library_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(corner(), "HEIF")
    monkeypatch.setattr(heif, "_registered", lambda: False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PictureError, match=r"a\.heic is HEIC: install pillow-heif"):
        examine.decoded(data, "a.heic")


@pytest.mark.skipif(
    not (shutil.which("heif-dec") or shutil.which("heif-convert")), reason="needs libheif's program"
)
def test_a_program_of_the_system_does_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = Image.Exif()
    turned[274] = 6
    data = encoded(
        corner((300, 200)), "HEIF", exif=turned.tobytes(), icc_profile=DISPLAY_P3, tile_size=128,
        **EXACT,
    )  # fmt: skip
    ours = examine.decoded(data, "a.heic")
    monkeypatch.setattr(heif, "_registered", lambda: False)
    theirs = examine.decoded(data, "a.heic")
    assert (theirs.format, theirs.image.size) == (ours.format, (200, 300))
    difference = ImageChops.difference(ours.image, theirs.image).getextrema()
    assert max(high for _, high in difference) <= 2  # type: ignore[misc]
    with pytest.raises(PictureError, match=r"a\.heic is damaged or incomplete"):
        examine.decoded(data[: len(data) // 2], "a.heic")


def test_what_avif_shares_with_it_is_no_heic() -> None:
    assert not heif.is_heif(encoded(corner(), "AVIF"))
    assert not heif.is_heif(b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiaf")
    assert heif.is_heif(encoded(corner(), "HEIF"))
    POOL.close()
