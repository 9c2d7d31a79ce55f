#!/bin/sh
# pillow-heif 1.8.1 with Pillow 13.0.0: a photo saved with exif=image.getexif() lies on its side.
#
# Guessed before it was run: save() takes EXIF data as bytes or as an Image.Exif, as for JPEG, PNG,
# WebP and AVIF, and a photo with orientation 6 is upright in whatever was written.
# Seen: with bytes, and with nothing at all, the orientation goes into the file and the photo is
# upright. With the Image.Exif of the very same photo it is taken out of the EXIF data and put nowhere:
# the picture is shown unturned, and the tag that could tell so is 1. The maker's name, beside it,
# arrives, so that the EXIF data look as if they had been kept. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'pillow==13.0.0' 'pillow-heif==1.8.1'
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import PIL
import pillow_heif
from PIL import Image, ImageOps

ORIENTATION, MAKER = 0x112, 0x10F
pillow_heif.register_heif_opener()


def photo() -> Image.Image:
    """A JPEG of 64 x 128 pixels that a reader has to turn: 128 x 64."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = 6, "Camera"
    file = io.BytesIO()
    Image.new("RGB", (64, 128), "red").save(file, "JPEG", exif=exif)
    return Image.open(file)


def saved(kind: str, **options: object) -> tuple[tuple[int, int], int, str]:
    """The size as it is shown, the orientation that is left, and the maker."""
    file = io.BytesIO()
    photo().save(file, kind, **options)
    image = Image.open(file)
    exif = image.getexif()
    return ImageOps.exif_transpose(image).size, exif.get(ORIENTATION), exif.get(MAKER)


print("pillow-heif", pillow_heif.__version__, "Pillow", PIL.__version__)
seen = {
    "HEIF, nothing given": saved("HEIF"),
    "HEIF, exif=image.info['exif']": saved("HEIF", exif=photo().info["exif"]),
    "HEIF, exif=image.getexif()": saved("HEIF", exif=photo().getexif()),
    "AVIF, exif=image.getexif()": saved("AVIF", exif=photo().getexif()),
    "JPEG, exif=image.getexif()": saved("JPEG", exif=photo().getexif()),
}
for what, (size, orientation, maker) in seen.items():
    print(f"{what}: shown as {size}, orientation {orientation}, maker {maker}")
sys.exit(
    list(seen.values())
    != [((128, 64), 1, "Camera")] * 2
    + [((64, 128), 1, "Camera")]
    + [((128, 64), 6, "Camera")] * 2
)
PYTHON
