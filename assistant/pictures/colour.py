"""From whatever a picture file stores to the upright, opaque, 8-bit sRGB that a person sees."""

from __future__ import annotations

import io
from contextlib import suppress

from PIL import Image, ImageChops, ImageOps

_SAME = 2
"""Steps of 255 by which a profile may differ from sRGB and still be called that."""


def as_seen(image: Image.Image) -> Image.Image:
    """Decode a picture (its first frame) into RGB as viewers show it.

    Raises whatever Pillow raises for damaged data.
    """
    image.load()
    profile = image.info.get("icc_profile")
    image = _upright(image)
    image = _eight_bits(image)
    colour, alpha = _without_alpha(image)
    rgb = _to_srgb(colour, profile if isinstance(profile, bytes) else None)
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # unreadable metadata: every viewer shows the picture as it is stored
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or of floating point, as 8 bits; anything else as it is.

    Pillow's own conversion clips at 255, which turns nearly everything white.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    import numpy as np

    values = np.asarray(image).astype(np.float64)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 0xFFFF and image.mode != "F":
        low, high = 0.0, float(0xFFFF)
    # Other ranges have no agreed meaning: scientific viewers stretch what is there.
    scale = 255.0 / (high - low) if high > low else 0.0
    scaled = np.rint((np.where(finite, values, low) - low) * scale)
    grey = Image.fromarray(scaled.astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour and opacity apart; the latter is None for an opaque picture."""
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


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile or image.mode == "LAB":
        with suppress(Exception):  # an unusable profile: viewers ignore it
            return _by_profile(image, profile)
    return image.convert("RGB")


def _by_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    from PIL import ImageCms

    target = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    else:
        assert profile is not None
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    mode = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}[space]
    if mode == "L" and image.mode == "RGB":  # grey with a transparent shade, made RGB above
        image = image.getchannel(0)
    elif image.mode == "1" or (mode == "RGB" and image.mode in ("YCbCr", "HSV")):
        image = image.convert(mode)
    elif image.mode != mode:
        raise ValueError("the profile is for another kind of picture")
    transform = ImageCms.buildTransform(source, target, mode, "RGB")
    if mode == "RGB" and _is_srgb(transform):
        return image
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


def _is_srgb(transform: object) -> bool:
    """Whether a conversion changes next to nothing.

    Most profiles are sRGB itself. Rounding would change their pixels by a step
    here and there; not converting keeps them exactly as they were stored.
    """
    from PIL import ImageCms

    assert isinstance(transform, ImageCms.ImageCmsTransform)
    steps = range(0, 256, 17)
    cube = Image.new("RGB", (len(steps), len(steps) ** 2))
    cube.putdata([(r, g, b) for r in steps for g in steps for b in steps])
    converted = ImageCms.applyTransform(cube, transform)
    assert converted is not None
    extrema = ImageChops.difference(cube, converted).getextrema()
    return max(high for _, high in extrema) <= _SAME  # type: ignore[misc]
