"""Equality of the drawn pixels and the model's, in every mode and with every profile."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms
from textual.strip import Strip

from assistant.pictures import decode
from assistant.values.conversation import PictureFile
from tests.pictures import profiles
from tests.pictures.picture_files import encoded
from tests.tui.desk import Desk
from tui.terminal.detect import Graphics, PictureProtocol
from tui.widgets.gallery import Drawn, Gallery, Key

WIDTH, HEIGHT = 96, 64
PATCH = 16
COLOURS = np.random.default_rng(11).integers(0, 256, (HEIGHT // PATCH, WIDTH // PATCH, 4))


def patches(channels: int, scale: int = PATCH) -> np.ndarray:
    """Squares of one colour, larger than what is drawn of them is blurred."""
    colours = COLOURS[:, :, :channels].astype(np.uint8)
    return colours.repeat(scale, 0).repeat(scale, 1).squeeze()


def rgb(scale: int = PATCH) -> Image.Image:
    return Image.fromarray(patches(3, scale))


def grey() -> Image.Image:
    return Image.fromarray(patches(1))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(rgb(), "JPEG", quality=95, exif=exif, icc_profile=profiles.DISPLAY_P3)


def lab() -> Image.Image:
    target = ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(
        rgb(), ImageCms.createProfile("sRGB"), target, outputMode="LAB"
    )
    assert image is not None
    return image


def with_alpha(image: Image.Image) -> Image.Image:
    image.putalpha(Image.fromarray(patches(4)[:, :, 3]))
    return image


def deep(low: int, high: int, kind: type) -> Image.Image:
    return Image.fromarray((low + patches(1).astype(np.float64) / 255 * (high - low)).astype(kind))


TABLE: dict[str, Callable[[], bytes]] = {
    "no profile": lambda: encoded(rgb()),
    "sRGB": lambda: encoded(
        rgb(),
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ),
    "Display P3": lambda: encoded(rgb(), icc_profile=profiles.DISPLAY_P3),
    "Display P3, large": lambda: encoded(rgb(200), icc_profile=profiles.DISPLAY_P3),
    "Display P3, large JPEG": lambda: encoded(
        rgb(200), "JPEG", quality=95, icc_profile=profiles.DISPLAY_P3
    ),
    "Display P3 and alpha": lambda: encoded(with_alpha(rgb()), icc_profile=profiles.DISPLAY_P3),
    "Display P3, turned": turned,
    "Adobe RGB": lambda: encoded(rgb(), "TIFF", icc_profile=profiles.ADOBE_RGB),
    "grey with a profile": lambda: encoded(grey(), icc_profile=profiles.GREY),
    "grey and alpha": lambda: encoded(with_alpha(grey())),
    "CMYK": lambda: encoded(Image.fromarray(patches(4), "CMYK"), "TIFF"),
    "CMYK with a profile": lambda: encoded(
        Image.fromarray(patches(4), "CMYK"), "TIFF", icc_profile=profiles.CMYK
    ),
    "LAB": lambda: encoded(lab(), "TIFF"),
    "1 bit": lambda: encoded(grey().convert("1", dither=Image.Dither.NONE)),
    "palette": lambda: encoded(rgb().quantize(16), transparency=3),
    "palette with a profile": lambda: encoded(rgb().quantize(16), icc_profile=profiles.DISPLAY_P3),
    "16-bit grey": lambda: encoded(deep(0, 65535, np.uint16)),
    "16-bit grey with a profile": lambda: encoded(
        deep(0, 65535, np.uint16), icc_profile=profiles.GREY
    ),
    "32-bit grey": lambda: encoded(deep(-100, 90000, np.int32), "TIFF"),
    "floating point": lambda: encoded(deep(0, 1, np.float32), "TIFF"),
}


def model_pixels(data: bytes, size: tuple[int, int]) -> np.ndarray:
    seen = decode.pixels(data)
    assert seen.mode == "RGB"
    return np.asarray(seen.resize(size, Image.Resampling.BOX), int)


def cells(strips: list[Strip] | tuple[Strip, ...]) -> np.ndarray:
    rows = []
    for strip in strips:
        styles = [segment.style for segment in strip for _ in segment.text]
        rows.append([style.color.triplet for style in styles])  # type: ignore[union-attr]
        rows.append([style.bgcolor.triplet for style in styles])  # type: ignore[union-attr]
    return np.asarray(rows, int)


def drawn(desk: Desk, data: bytes, protocol: PictureProtocol) -> tuple[Key, Drawn]:
    session = desk.chat("What is it?", "Squares.", files=[decode.open_bytes(data)])
    picture = desk.engine.store.conversation(session).pictures[0]
    gallery = Gallery(desk.engine, Graphics(protocol, (4, 8)))
    key = gallery.key(picture, 24, 12)
    return key, gallery.draw(picture, key)


def assert_same(found: np.ndarray, data: bytes) -> None:
    expected = model_pixels(data, (found.shape[1], found.shape[0]))
    assert expected.std() > 20, "the picture is of one colour"
    assert np.abs(found - expected).max() <= 6  # JPEG's own rounding; 0 to 2 in the others


@pytest.mark.parametrize("name", TABLE)
def test_half_blocks_have_the_colours_that_the_model_sees(desk: Desk, name: str) -> None:
    data = TABLE[name]()
    _, picture = drawn(desk, data, PictureProtocol.HALFBLOCKS)
    assert_same(cells(picture.blocks), data)


@pytest.mark.parametrize("name", ["Display P3", "16-bit grey", "CMYK", "Display P3, turned"])
def test_kitty_and_sixel_get_the_pixels_that_the_model_sees(desk: Desk, name: str) -> None:
    data = TABLE[name]()
    _, picture = drawn(desk, data, PictureProtocol.KITTY)
    pieces = re.findall(r"\x1b_G[^;\x1b]*;([^\x1b]*)\x1b\\", picture.upload)
    with Image.open(io.BytesIO(base64.b64decode("".join(pieces)))) as sent:
        assert_same(np.asarray(sent, int), data)
    assert_same(cells(picture.blocks), data)
    _, picture = drawn(desk, data, PictureProtocol.SIXEL)
    assert picture.image is not None
    assert_same(np.asarray(picture.image, int), data)


@pytest.mark.parametrize("name", ["Display P3", "Display P3, large", "CMYK with a profile"])
def test_a_thumbnail_has_the_colours_that_the_model_sees(name: str) -> None:
    file: PictureFile = decode.open_bytes(TABLE[name]())
    assert file.thumbnail is not None
    small = decode.pixels(file.thumbnail, (24, 16))
    expected = model_pixels(file.data, (24, 16))
    assert np.abs(np.asarray(small, int) - expected).mean() < 6  # a JPEG
