"""Fonts, words and pictures of other programs that the drawn pictures are made with.

They are not in the repository: Debian's packages of `PACKAGES` hold them. They are looked for
in ``/usr/share`` and in the folders that ``PHICHAT_TRAINING_SOURCES`` names.
"""

from __future__ import annotations

import os
import re
import zlib
from functools import cache
from pathlib import Path

from training.demo_model import small_talk

PACKAGES = (
    "fonts-dejavu", "fonts-liberation", "fonts-freefont-ttf", "fonts-roboto-unhinted",
    "fonts-lato", "fonts-open-sans", "fonts-crosextra-caladea", "fonts-crosextra-carlito",
    "fonts-cantarell", "fonts-inconsolata", "wamerican", "openclipart-png", "gnome-backgrounds",
)  # fmt: skip
FONTS = (
    "DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "LiberationSans", "LiberationSerif",
    "LiberationMono", "FreeSans", "FreeMono", "Roboto", "Caladea", "Carlito", "Cantarell", "Lato",
)  # fmt: skip
HELD_OUT_FONTS = ("OpenSans", "FreeSerif", "Inconsolata")
"""Families that only evaluations print with."""
_STYLES = ("", "Regular", "Book", "Bold", "Italic", "Oblique", "Medium", "Semibold")
_STEM = re.compile(r"(?P<family>[A-Za-z]+?)-?(?P<style>(Bold|Italic|Oblique)*|[A-Z][a-z]+)$")


def _roots() -> list[Path]:
    named = os.environ.get("PHICHAT_TRAINING_SOURCES", "")
    return [Path("/usr/share"), *(Path(part) for part in named.split(os.pathsep) if part)]


@cache
def _files(*endings: str) -> tuple[Path, ...]:
    found = (path for root in _roots() for path in root.rglob("*") if path.suffix in endings)
    return tuple(sorted(found, key=lambda path: path.name))


def is_held_out(name: str) -> bool:
    """Keep an eighth of words and pictures for evaluation, always the same ones."""
    return zlib.crc32(name.encode()) % 8 == 0


@cache
def fonts(*, held_out: bool = False) -> tuple[Path, ...]:
    """List the font files of the families to train with, or of those held out."""
    families = HELD_OUT_FONTS if held_out else FONTS
    found: dict[str, Path] = {}
    for path in _files(".ttf", ".otf"):
        match = _STEM.match(path.stem)
        if match and match["family"] in families and match["style"] in _STYLES:
            found.setdefault(path.stem, path)
    if not found:
        raise FileNotFoundError(
            f"No font of {', '.join(families)} is here: apt install {' '.join(PACKAGES)}"
        )
    return tuple(found.values())


@cache
def words(*, held_out: bool = False) -> tuple[str, ...]:
    """List English words of 2 to 10 letters, from wamerican where it is there."""
    lists = [path for root in _roots() for path in root.glob("**/dict/american-english")]
    text = lists[0].read_text(encoding="utf-8") if lists else small_talk.NOUNS
    plain = (word for word in text.split() if re.fullmatch("[A-Za-z]{2,10}", word))
    return tuple(sorted({word for word in plain if is_held_out(word.lower()) == held_out}))


@cache
def foreign_pictures(*, held_out: bool = False) -> tuple[Path, ...]:
    """List pictures of other programs: clip art and photographs."""
    folders = ("clipart", "openclipart", "backgrounds", "photos")
    return tuple(
        path
        for path in _files(".png", ".jpg", ".webp")
        if set(path.parts) & set(folders) and is_held_out(path.name) == held_out
    )
