"""Damaged pictures that viewers show are shown, and what is missing is said."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms

from assistant.pictures import decode
from assistant.values.errors import PictureError
from tests.pictures.picture_files import FORMATS, encoded, flag
from tests.pictures.test_refusals import _peak_bytes

WIDTH, HEIGHT = 160, 120


def noise(mode: str = "RGB") -> Image.Image:
    return Image.effect_noise((WIDTH, HEIGHT), 90).convert(mode)


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(made: bytes, where: bytes = b"IDAT") -> bytes:
    data = encoded(flag(), "PNG")
    at = data.index(where) - 4
    return data[:at] + made + data[at:]


def wide_profile(size: int) -> bytes:
    """A profile whose colours are not sRGB's, with ``size`` bytes that belong to a display."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red = profile.index(b"rXYZ", 128)
    at = int.from_bytes(profile[red + 4 : red + 8], "big")
    profile[at + 8 : at + 12] = (
        int.from_bytes(profile[at + 8 : at + 12], "big") * 5 // 4
    ).to_bytes(4, "big")
    profile += bytes(size)
    profile[:4] = len(profile).to_bytes(4, "big")
    return bytes(profile)


TEXT = b'{"node": 1}' * 200_000
BODIES = {
    b"zTXt": b"workflow\0\0" + zlib.compress(TEXT),
    b"iTXt": b"workflow\0\1\0\0\0" + zlib.compress(TEXT),
    b"tEXt": b"workflow\0" + TEXT,
}


@pytest.mark.parametrize("where", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_png_with_a_long_text_is_shown(kind: bytes, where: bytes) -> None:
    file = decode.open_bytes(with_chunk(chunk(kind, BODIES[kind]), where))
    assert file.pixels_sha256 == decode.open_bytes(encoded(flag())).pixels_sha256
    assert file.notice == ""


def test_a_large_colour_profile_of_a_png_is_used() -> None:
    def profiled(size: int) -> Image.Image:
        body = b"Display\0\0" + zlib.compress(wide_profile(size))
        return decode.pixels(with_chunk(chunk(b"iCCP", body)))

    small, large = profiled(0), profiled(2 << 20)
    assert ImageChops.difference(small, large).getbbox() is None
    assert ImageChops.difference(small, flag()).getbbox() is not None


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"pHYs", b"tIME", b"prVt"])
@pytest.mark.parametrize("where", [b"IDAT", b"IEND"])
def test_a_wrong_checksum_of_what_is_no_pixel_does_not_matter(kind: bytes, where: bytes) -> None:
    wrong = bytearray(chunk(kind, b"Comment\0\0nothing"))
    wrong[-1] ^= 0xFF
    file = decode.open_bytes(with_chunk(bytes(wrong), where))
    assert file.pixels_sha256 == decode.open_bytes(encoded(flag())).pixels_sha256


def test_texts_that_unpack_to_very_much_are_left_out() -> None:
    bomb = b"Comment\0\0" + zlib.compress(bytes(200 << 20))
    before = _peak_bytes()
    file = decode.open_bytes(with_chunk(chunk(b"zTXt", bomb)))
    assert (file.width, file.height) == (30, 20)
    assert _peak_bytes() - before < 60 << 20


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_without_its_end_marker_is_whole(mode: str, progressive: bool) -> None:
    whole = encoded(noise(mode), "JPEG", progressive=progressive)
    file = decode.open_bytes(whole[:-2])
    assert file.pixels_sha256 == decode.open_bytes(whole).pixels_sha256
    assert file.notice == ""
    size = (40, 30)
    assert decode.pixels(whole[:-2], size).size == size


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.9, 0.97])
def test_a_picture_cut_in_its_last_rows_is_shown_and_says_so(format: str, share: float) -> None:
    whole = encoded(noise(), format)
    file = decode.open_bytes(cut(whole, share), name="cat")
    assert (file.width, file.height) == (WIDTH, HEIGHT)
    found = re.fullmatch(
        rf"cat is cut short: (\d+) of its {HEIGHT} rows (is|are) missing and shown white\.",
        file.notice,
    )
    assert found
    missing = int(found[1])
    assert 0 < missing <= HEIGHT / 4
    seen = np.asarray(decode.pixels(file.data), int)
    if format == "BMP":  # stored from below
        seen, there = seen[::-1], np.asarray(decode.pixels(whole), int)[::-1]
    else:
        there = np.asarray(decode.pixels(whole), int)
    there_rows = HEIGHT - missing
    assert (seen[there_rows:] == 255).all()
    # colours of a JPEG's last row are made from the row below, too
    assert (seen[: there_rows - 1] == there[: there_rows - 1]).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16"])
def test_rows_are_counted_in_every_kind_of_png(mode: str) -> None:
    image = Image.effect_noise((WIDTH, HEIGHT), 90)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    file = decode.open_bytes(cut(encoded(image, "PNG"), 0.9))
    assert "rows are missing" in file.notice


def test_the_missing_rows_of_a_turned_picture_are_a_side() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = encoded(Image.new("RGB", (WIDTH, HEIGHT), "red"), "PNG", exif=exif, compress_level=0)
    seen = decode.pixels(cut(whole, 0.9))
    assert seen.size == (HEIGHT, WIDTH)
    assert seen.getpixel((0, 5)) == (255, 255, 255)
    assert seen.getpixel((HEIGHT - 1, 5)) == (255, 0, 0)


def test_a_progressive_jpeg_without_its_last_refinement_is_shown() -> None:
    whole = encoded(noise(), "JPEG", progressive=True)
    for share in (0.8, 0.99):
        file = decode.open_bytes(cut(whole, share), name="cat")
        assert file.notice == "cat is cut short: its finest details are missing."
    difference = ImageChops.difference(decode.pixels(cut(whole, 0.99)), decode.pixels(whole))
    assert np.asarray(difference).mean() < 3


def test_a_jpeg_cut_in_the_header_of_a_scan_loses_that_scan_alone() -> None:
    whole = encoded(noise(), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    for behind in range(12):
        assert "finest details" in decode.open_bytes(whole[: last + behind]).notice


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_cut_early_stays_refused(format: str, progressive: bool) -> None:
    data = encoded(noise(), format, progressive=progressive)
    for share in (0.01, 0.02, 0.1, 0.3, 0.5 if not progressive else 0.35):
        with pytest.raises(PictureError, match="cat is damaged"):
            decode.open_bytes(cut(data, share), name="cat")


def test_a_jpeg_that_begins_and_is_none_is_damaged() -> None:
    with pytest.raises(PictureError, match="is damaged"):
        decode.open_bytes(b"\xff\xd8\xff no")


def test_a_jpeg_that_carries_others_behind_it_may_be_cut() -> None:
    buffer = io.BytesIO()
    noise().save(buffer, "MPO", save_all=True, append_images=[noise()])
    file = decode.open_bytes(cut(buffer.getvalue(), 0.6))
    assert (file.media_type, file.notice) == ("image/jpeg", "")
