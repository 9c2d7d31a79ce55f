"""The model sees what the person sees: turned, opaque, 8 bits, sRGB, first frame."""

from __future__ import annotations

import hashlib
import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from assistant.pictures import decode
from tests.pictures.picture_files import FORMATS, LOSSLESS, encoded, flag, png, tiff

BLUE, RED, WHITE = (0, 0, 255), (200, 30, 60), (255, 255, 255)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_opens_with_its_bytes_unchanged(format: str) -> None:
    data = encoded(flag(), format)
    file = decode.open_bytes(data, name="flag")
    assert (file.data, file.sha256) == (data, hashlib.sha256(data).hexdigest())
    assert (file.width, file.height) == (30, 20)
    assert file.media_type == f"image/{format.lower()}"
    seen = decode.pixels(data)
    assert (seen.mode, seen.size) == ("RGB", (30, 20))
    assert np.abs(np.asarray(seen, int)[15, 25] - RED).max() <= 4


def test_the_same_pixels_have_the_same_name_in_every_lossless_format() -> None:
    files = [decode.open_bytes(encoded(flag(), format)) for format in LOSSLESS]
    assert len({f.pixels_sha256 for f in files}) == 1
    assert len({f.sha256 for f in files}) == len(files)
    # and another shape of the same bytes another one
    lying, standing = (encoded(Image.new("RGB", size, RED)) for size in ((30, 20), (20, 30)))
    named = {decode.open_bytes(data).pixels_sha256 for data in (lying, standing)}
    assert len(named) == 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [
        (1, (30, 20), (0, 0)),
        (2, (30, 20), (29, 0)),
        (3, (30, 20), (29, 19)),
        (4, (30, 20), (0, 19)),
        (5, (20, 30), (0, 0)),
        (6, (20, 30), (19, 0)),
        (7, (20, 30), (19, 29)),
        (8, (20, 30), (0, 29)),
    ],
)
def test_pictures_are_turned_upright(
    format: str, orientation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(flag(), format, exif=exif, quality=95)
    file = decode.open_bytes(data)
    assert (file.width, file.height) == size
    seen = decode.pixels(data)
    assert seen.size == size
    r, g, b = seen.getpixel(corner)
    assert b > 200 > 60 > max(r, g), "the blue corner is elsewhere"


def test_unreadable_metadata_does_not_hide_the_picture() -> None:
    data = encoded(flag(), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert decode.pixels(data).getpixel((0, 0)) == BLUE


def _half_transparent(mode: str) -> bytes:
    """Left transparent black, middle half-transparent black, right opaque black; on white."""
    alpha = Image.new("L", (3, 1))
    alpha.putdata([0, 128, 255])
    image = Image.new(mode, (3, 1), 0)
    image.putalpha(alpha)
    return encoded(image, "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_shown_on_white(mode: str) -> None:
    seen = np.asarray(decode.pixels(_half_transparent(mode)), int)
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert np.abs(seen[0, 1] - 127).max() <= 1
    assert seen[0, 2].tolist() == [0, 0, 0]


def test_a_transparent_palette_entry_is_white_and_not_black() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 30, 60])
    image.putdata([0, 1])
    for format, options in (("PNG", {"transparency": 0}), ("GIF", {"transparency": 0})):
        seen = decode.pixels(encoded(image, format, **options))
        assert [seen.getpixel((x, 0)) for x in range(2)] == [WHITE, RED], format
    several = decode.pixels(encoded(image, "PNG", transparency=bytes([0, 128])))
    assert several.getpixel((0, 0)) == WHITE
    assert several.getpixel((1, 0)) == (227, 142, 157)


@pytest.mark.parametrize(("mode", "shade"), [("L", 7), ("RGB", (1, 2, 3)), ("1", 0)])
def test_a_transparent_colour_is_white(mode: str, shade: object) -> None:
    data = encoded(Image.new(mode, (2, 2), shade), "PNG", transparency=shade)
    assert decode.pixels(data).getpixel((0, 0)) == WHITE


GREYS = [0, 257, 0x4000, 0x8000, 0xFFFF]


def _rows(values: list[int]) -> bytes:
    return b"\0" + struct.pack(f">{len(values)}H", *values)


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    data = png(5, 1, 16, 0, _rows(GREYS))
    assert Image.open(pictures_io(data)).mode.startswith("I")
    seen = decode.pixels(data)
    assert [seen.getpixel((x, 0))[0] for x in range(5)] == [0, 1, 64, 128, 255]


def test_16_bit_grey_with_a_transparent_shade() -> None:
    seen = decode.pixels(png(5, 1, 16, 0, _rows(GREYS), tRNS=struct.pack(">H", 0x4000)))
    assert [seen.getpixel((x, 0))[0] for x in range(5)] == [0, 1, 255, 128, 255]


def test_16_bit_grey_with_alpha_and_16_bit_colour() -> None:
    seen = decode.pixels(png(2, 1, 16, 4, _rows([0x8000, 0xFFFF, 0, 0])))
    assert [seen.getpixel((x, 0))[0] for x in range(2)] == [128, 255]
    seen = decode.pixels(png(1, 1, 16, 2, _rows([0xFFFF, 0x8080, 0])))
    assert seen.getpixel((0, 0)) == (255, 128, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[-10, 0, 10]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 0, 2]], np.float32), [0, 0, 255]),
        (np.array([[5, 5, 5]], np.float32), [0, 0, 0]),
        (np.array([[0, 0x8000, 0xFFFF]], np.int32), [0, 128, 255]),
        (np.array([[0, 1 << 30, 1 << 31]], np.float64).astype(np.float32), [0, 128, 255]),
    ],
)
def test_scientific_pictures_span_black_to_white(values: np.ndarray, expected: list[int]) -> None:
    seen = decode.pixels(encoded(Image.fromarray(values), "TIFF"))
    assert [seen.getpixel((x, 0))[0] for x in range(3)] == expected


@pytest.mark.parametrize(
    ("values", "tags", "expected"),
    [
        (np.array([[0, 0x8000, 0xFFFF]], np.uint16), {262: 0}, [255, 127, 0]),
        (np.array([[0, 0.25, 1]], np.float32), {262: 0}, [255, 191, 0]),
    ],
    ids=["16 bits", "floats"],
)
def test_white_may_be_0_in_a_tiff(
    values: np.ndarray, tags: dict[int, int], expected: list[int]
) -> None:
    seen = decode.pixels(encoded(Image.fromarray(values), "TIFF", tiffinfo=tags))
    assert [seen.getpixel((x, 0))[0] for x in range(3)] == expected


def test_12_and_32_bits_of_a_tiff_span_black_to_white() -> None:
    for tags, stored in (
        ({258: 12, 279: 5}, b"\x00\x08\x00\xff\xf0"),
        ({258: 32, 279: 12}, struct.pack("<3I", 0, 1 << 31, (1 << 32) - 1)),
    ):
        seen = decode.pixels(tiff({262: 1, 277: 1, **tags}, stored, (3, 1)))
        assert [seen.getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


def pictures_io(data: bytes) -> object:
    import io

    return io.BytesIO(data)


def _profile(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def _tags(data: bytes) -> dict[bytes, int]:
    """Places of a profile's entries for its tags: name, offset and length, 4 bytes each."""
    count = struct.unpack(">I", data[128:132])[0]
    return {data[132 + 12 * n : 136 + 12 * n]: 132 + 12 * n for n in range(count)}


def _nearly_srgb() -> bytes:
    """As profiles of other makers are: sRGB but for the last digits of its primaries."""
    data = bytearray(_profile("sRGB"))
    entry = _tags(bytes(data))[b"rXYZ"]
    at = struct.unpack(">I", data[entry + 4 : entry + 8])[0] + 8
    data[at : at + 4] = struct.pack(">i", struct.unpack(">i", data[at : at + 4])[0] + 20)
    return bytes(data)


def _swapped() -> bytes:
    """A profile in which the primaries of sRGB have changed places: red is shown as green."""
    data = bytearray(_profile("sRGB"))
    tags = _tags(bytes(data))
    r, g = tags[b"rXYZ"], tags[b"gXYZ"]
    data[r : r + 4], data[g : g + 4] = data[g : g + 4], data[r : r + 4]
    return bytes(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_an_embedded_profile_is_applied(format: str) -> None:
    data = encoded(Image.new("RGB", (8, 8), (255, 0, 0)), format, icc_profile=_swapped())
    r, g, b = decode.pixels(data).getpixel((4, 4))
    assert g > 240, "red is green in this profile"
    assert max(r, b) < 20


def test_a_profile_keeps_transparency() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((0, 0), (255, 0, 0, 0))
    seen = decode.pixels(encoded(image, "PNG", icc_profile=_swapped()))
    assert seen.getpixel((0, 0)) == WHITE
    assert seen.getpixel((1, 0))[1] > 240


@pytest.mark.parametrize("profile", [_profile("sRGB"), _nearly_srgb()], ids=["own", "nearly"])
def test_a_profile_of_srgb_itself_changes_no_pixel(profile: bytes) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
    plain = decode.open_bytes(encoded(noise))
    tagged = decode.open_bytes(encoded(noise, icc_profile=profile))
    assert plain.pixels_sha256 == tagged.pixels_sha256
    assert plain.sha256 != tagged.sha256


@pytest.mark.parametrize(
    "profile", [b"no profile", _profile("LAB"), _profile("XYZ")], ids=["no", "lab", "xyz"]
)
def test_a_profile_of_no_use_is_ignored(profile: bytes) -> None:
    seen = decode.pixels(encoded(flag(), "PNG", icc_profile=profile))
    assert seen.tobytes() == flag().tobytes()


def test_cmyk_and_lab_look_like_what_they_are() -> None:
    cyan = decode.pixels(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG"))
    assert cyan.getpixel((4, 4))[0] < 40 < 200 < min(cyan.getpixel((4, 4))[1:])
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (4, 4), RED),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert lab is not None
    seen = decode.pixels(encoded(lab, "TIFF")).getpixel((0, 0))
    assert np.abs(np.subtract(seen, RED)).max() <= 6


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_of_an_animation_is_shown(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, WHITE)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    seen = decode.pixels(data).getpixel((8, 8))
    assert np.abs(np.subtract(seen, RED)).max() <= 6


def test_a_jpeg_with_a_second_picture_behind_it_is_a_jpeg() -> None:
    data = encoded(flag(), "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    file = decode.open_bytes(data)
    assert (file.media_type, file.width) == ("image/jpeg", 30)


@pytest.mark.parametrize(
    ("size", "small"), [((30, 20), (30, 20)), ((1000, 500), (256, 128)), ((9, 3000), (1, 256))]
)
def test_a_thumbnail_is_a_small_jpeg_of_what_is_seen(
    size: tuple[int, int], small: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    image = Image.new("RGB", size[::-1], RED)
    file = decode.open_bytes(encoded(image, "PNG", exif=exif))
    assert (file.width, file.height) == size
    assert file.thumbnail is not None
    thumbnail = Image.open(io.BytesIO(file.thumbnail))
    assert (thumbnail.format, thumbnail.mode, thumbnail.size) == ("JPEG", "RGB", small)
    assert np.abs(np.asarray(thumbnail, int) - RED).max() <= 6
