"""Pictures out of the demo model's scope: photographs, clip art, noise, lines, nothing at all."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from training.demo_model.pictures import sources
from training.demo_model.pictures.drawing import Drawing, degrade
from training.demo_model.scene_drawing import draw as draw_scene
from training.demo_model.scenes import sample_empty, sample_ground


def _load(path: Path) -> Image.Image | None:
    """Load a picture in a size that draws fast; None where it is huge (one has 623 megapixels)."""
    try:
        with Image.open(path) as file:
            if file.width * file.height > 16_000_000:
                return None
            file.thumbnail((900, 900))
            return file.convert("RGBA")
    except Image.DecompressionBombError:
        return None


@cache
def _paths(held_out: bool) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """List all pictures, and those of them that are photographs."""
    paths = sources.foreign_pictures(held_out=held_out)
    return paths, tuple(p for p in paths if p.suffix != ".png" or "photos" in p.parts)


def _cut(rng: Random, image: Image.Image) -> Image.Image:
    """Cut a part out of a photograph."""
    share = rng.uniform(0.4, 1)
    w, h = (max(16, round(side * share)) for side in image.size)
    x, y = rng.randint(0, image.width - w), rng.randint(0, image.height - h)
    return image.crop((x, y, x + w, y + h))


def _clouds(rng: Random) -> Image.Image:
    """Draw smooth noise of several scales: the colours of a landscape without its things."""
    noise = np.random.default_rng(rng.randrange(1 << 30))
    size = (rng.randint(240, 640), rng.randint(240, 640))
    total = np.zeros((size[1], size[0], 3), np.float32)
    for octave in range(2, 8):
        grain = noise.integers(0, 256, (2**octave, 2**octave, 3)).astype(np.uint8)
        layer = Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC)
        total += np.asarray(layer, np.float32) / 2 ** (octave - 1)
    base = noise.integers(30, 226, 3)
    return Image.fromarray((base + (total - total.mean()) * 0.9).clip(0, 255).astype(np.uint8))


def sample(rng: Random, *, held_out: bool = False) -> Drawing:
    """Take or draw a picture that shows nothing the demo model knows."""
    paths, photographs = _paths(held_out)
    style = rng.random()
    ground, paper = sample_ground(rng)
    if style < 0.7 and paths:
        path = rng.choice(photographs if photographs and rng.random() < 0.3 else paths)
        while (picture := _load(path)) is None:
            path = rng.choice(paths)
        image = Image.new("RGBA", picture.size, (*paper, 255))
        image.alpha_composite(picture)
        image = image.convert("RGB")
        if path in photographs:
            image = _cut(rng, image)
    elif style < 0.85:
        image = _clouds(rng)
    else:
        image = draw_scene(sample_empty(rng))
    if max(image.size) / min(image.size) > 8:
        image = image.resize((min(image.size) * 4, min(image.size)))
    side = rng.randint(200, 900) / max(image.size)
    if side < 1:
        image = image.resize(tuple(max(1, math.ceil(v * side)) for v in image.size))  # type: ignore[arg-type]
    return degrade(rng, Drawing(image, {"family": "foreign", "ground": ground}), paper)
