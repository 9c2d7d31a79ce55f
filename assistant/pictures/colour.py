"""Orientation, transparency and colour: any stored picture as upright opaque 8-bit sRGB."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops, ImageOps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.ImageCms import ImageCmsTransform

_SAME = 2
"""Steps of 255 by which a profile may differ from sRGB and still count as sRGB."""
_OVERSAMPLED = 4
"""Decoded pixels a side for each pixel of a small copy."""
_BAND = 1 << 20
"""Pixels that are scaled at a time."""
_BITS, _PHOTOMETRIC, _SAMPLES = 258, 262, 339
"""Tags of TIFF: bits of a sample; 0 where white is 0; 2 for signed samples."""
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}
"""Colour space of a profile -> Pillow's mode."""


def as_seen(image: Image.Image, size: tuple[int, int] | None = None) -> Image.Image:
    """Decode the first frame of a picture into RGB, as viewers show it.

    ``size`` (width, height) scales the result; a large picture is then decoded in part only.
    Raises Pillow's errors for damaged data.
    """
    if size:
        image.draft(None, (_OVERSAMPLED * min(size),) * 2)  # JPEG: a half, quarter, eighth a side
    image.load()
    profile = image.info.get("icc_profile")
    # of a TIFF; the picture that is turned has none
    tags: Mapping[int, Any] = dict(getattr(image, "tag_v2", {}))
    colour, alpha = _without_alpha(_eight_bits(_upright(image), tags))
    sampled = None  # all of it, where colours of transparent pixels would spread
    if size and alpha is None:
        sampled = (_OVERSAMPLED * size[0], _OVERSAMPLED * size[1])
    rgb = _to_srgb(colour, profile if isinstance(profile, bytes) else None, sampled)
    if alpha is not None:
        white = Image.new("RGB", rgb.size, "white")
        white.paste(rgb, mask=alpha)
        rgb = white
    return rgb.resize(size, Image.Resampling.BOX) if size else rgb


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # unreadable metadata: every viewer shows the picture as it is stored
        return image


def _eight_bits(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """Scale grey of 10 to 32 bits, or of floating point, to 8 bits.

    Pillow's own conversion clips at 255, which turns nearly everything white. It reads 32 bits as
    signed numbers, and leaves it to others that white may be 0.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    import numpy as np

    stored = np.asarray(image)
    bits, is_signed = _first(tags.get(_BITS, 16)), _first(tags.get(_SAMPLES, 1)) == 2
    if image.mode == "I" and bits == 32 and not is_signed:
        stored = stored.view(np.uint32)
    step = max(1, _BAND // image.width)
    bands = [slice(top, top + step) for top in range(0, image.height, step)]
    # row by row, because floating point takes eight times the memory
    extrema = [value for band in bands for value in _extrema(stored[band])]
    low, high = (min(extrema), max(extrema)) if extrema else (0.0, 0.0)
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 0xFFFF and image.mode != "F":
        low, high = 0.0, float((1 << bits) - 1 if high < 1 << bits <= 0xFFFF else 0xFFFF)
    # Other ranges have no agreed meaning: scientific viewers stretch them.
    scale = 255.0 / (high - low) if high > low else 0.0
    scaled = np.empty(stored.shape, np.uint8)
    for band in bands:
        values = stored[band].astype(np.float64)
        scaled[band] = np.rint((np.where(np.isfinite(values), values, low) - low) * scale)
    grey = Image.fromarray(scaled)
    if tags.get(_PHOTOMETRIC) == 0:
        grey = ImageChops.invert(grey)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        opaque = np.where(stored == transparent, np.uint8(0), np.uint8(255))
        grey.putalpha(Image.fromarray(opaque))
    return grey


def _first(value: Any) -> int:
    """Return a tag's number, the first of several; 0 for another value."""
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else 0


def _extrema(values: NDArray[np.generic]) -> list[float]:
    """Return the least and the largest number; nothing where there is none."""
    import numpy as np

    finite = values[np.isfinite(values)]
    return [float(finite.min()), float(finite.max())] if finite.size else []


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Split a picture into colour and opacity; the latter is None for an opaque picture."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("La", "RGBa"):  # colours multiplied by their opacity
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    elif "transparency" in image.info and image.mode in ("1", "L", "RGB"):
        image = image.convert("RGBA")
    if image.mode not in ("LA", "RGBA"):
        return image, None
    alpha = image.getchannel("A")
    opaque = alpha.getextrema() == (255, 255)
    return image.convert(image.mode[:-1]), None if opaque else alpha


def _to_srgb(
    image: Image.Image, profile: bytes | None, size: tuple[int, int] | None
) -> Image.Image:
    """Convert to sRGB; a larger picture with a profile is scaled to ``size`` before."""
    if profile or image.mode == "LAB":
        with suppress(Exception):  # an unusable profile: viewers ignore it
            mode, transform = _transform(None if image.mode == "LAB" else profile)
            image = _in_mode(image, mode)
            if transform is None:
                return image
            if size and min(image.size) > min(size):
                image = image.resize(size, Image.Resampling.BOX)
            return _applied(transform, image)
    return image.convert("RGB")


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return a picture in the mode of its profile. Raises ValueError where that is another's."""
    if mode == "L" and image.mode == "RGB":  # grey with a transparent shade, made RGB above
        return image.getchannel(0)
    if image.mode == "1" or (mode == "RGB" and image.mode in ("YCbCr", "HSV")):
        return image.convert(mode)
    if image.mode != mode:
        raise ValueError("the profile is for another kind of picture")
    return image


@lru_cache(maxsize=4)
def _transform(profile: bytes | None) -> tuple[str, ImageCmsTransform | None]:
    """Return the mode that a profile is for, and the conversion; None: the profile is sRGB.

    Without a profile the colours are CIELAB. Most profiles are sRGB itself: rounding would change
    their pixels by a step here and there, and not converting keeps them as they were stored.
    """
    from PIL import ImageCms

    file = io.BytesIO(profile) if profile is not None else ImageCms.createProfile("LAB")
    source = ImageCms.ImageCmsProfile(file)
    mode = _MODES[source.profile.xcolor_space.strip()]
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode != "RGB":
        return mode, transform
    steps = range(0, 256, 17)
    cube = Image.new("RGB", (len(steps), len(steps) ** 2))
    cube.putdata([(r, g, b) for r in steps for g in steps for b in steps])
    extrema = ImageChops.difference(cube, _applied(transform, cube)).getextrema()
    is_srgb = max(high for _, high in extrema) <= _SAME  # type: ignore[misc]
    return mode, None if is_srgb else transform


def _applied(transform: ImageCmsTransform, image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted
