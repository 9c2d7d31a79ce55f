"""Recognition of dropped files in what a terminal pastes."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit

from assistant.pictures.data_urls import is_data_url
from assistant.pictures.path_forms import existing, is_windows_path
from assistant.pictures.paths import to_path
from assistant.values.errors import PictureError
from assistant.values.origin import split_pages
from assistant.values.region import split_region

DOCUMENT_SUFFIXES = frozenset({".pdf"})
"""Suffixes of documents, in lower case."""

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
"""Suffixes of pictures that may have several pages, in lower case."""

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi"})
"""Suffixes of videos, in lower case."""

SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif"}
    | {".bmp", ".dib", ".avif", ".heic", ".heif", ".hif"}
    | TIFF_SUFFIXES
    | DOCUMENT_SUFFIXES
    | VIDEO_SUFFIXES
)
"""Suffixes of files with pictures, in lower case."""

_UNREADABLE = frozenset(
    {".svg", ".svgz", ".psd", ".xcf", ".ai", ".eps", ".ico", ".icns", ".jxl", ".jp2", ".dcm"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".ppm", ".pgm", ".tga", ".exr"}
)
"""Suffixes of pictures that can't be opened: a message that is such a name is no message."""

_NAMED = re.compile(
    r"""(?<![^\s(\[{])@?(?:(?P<quote>['"])(?P<quoted>[^'"\n]+?)(?P=quote)|(?P<plain>"""
    r"""(?:[^\s'"()\[\]{}<>\\]|\\.)+?))(?=[.,;:!?)\]}]*(?:\s|$))""",
)
_ESCAPED = re.compile(r"\\([$`])")
_UNESCAPED_WORD = re.compile(r"\"[^\"]+\"|'[^']+'|[^ \t\r\n]+")
_DATA_URL = re.compile(r"data:image/[^,\s]*,[\w+/=%\s-]*", re.IGNORECASE | re.ASCII)
_DATA_URL_WORD = re.compile(r"data:image/[^,\s]*,[\w+/=%-]*", re.IGNORECASE | re.ASCII)
_START = re.compile(
    r"(?<![^ \t\r\n(\[])[\"'<“‘«]?(?:/|~/|\.{1,2}/|file:|[A-Za-z]:[\\/]|\\\\|data:image/)",
    re.IGNORECASE,
)
"""Beginnings of paths and addresses that no word of a sentence has."""
_SUFFIX = re.compile(
    rf"(?:{'|'.join(map(re.escape, sorted(SUFFIXES)))})"
    r"(?:#[\d.:,=a-z-]*\d-?)?(?:@[\d.,%]*[\d%])?(?=[ \t\r)\],;:.!?]|$)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:https?|file)://|data:image/", re.IGNORECASE)
_CLOSING = {'"': '"', "'": "'", "<": ">", "“": "”", "‘": "’", "«": "»"}
_SENTENCE_END = re.compile(r"[.!?:\n]\s*$")
_LONGEST_TEXT = 65_536
_LONGEST_MIXED = 64 << 20
_LONGEST_PATH = 1024
_MOST = 100
_MOST_TRIED = 200
"""Beginnings of paths in one text that are looked up on the disk."""
_MOST_ENDS = 8
"""Ends that are tried for each."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Pictures that a text names, and the words that are left."""

    sources: tuple[str, ...]
    """To be opened one by one; absolute paths and addresses."""
    words: str = ""


def may_name_pictures(text: str) -> bool:
    """Say whether the disk has to be looked at to know which pictures a text names."""
    return any(sign in text for sign in "/\\.~")


def find_dropped(text: str, refused: Collection[str] = ()) -> Dropped:
    """Find the pictures in what was pasted or typed; none in ordinary text, which stays as it is.

    Each is found once. ``refused`` are those that can't be opened: their paths are words.

    Beside words a picture is a file that exists, with a picture's suffix and at least one slash in
    its path, or a ``data:`` address. It is left out of the words at their beginning and end, and
    called by its name within a sentence.
    """
    if sources := dict.fromkeys(parse_dropped(text)):
        left = tuple(one for one in sources if one not in refused)
        words = "\n".join(one for one in sources if one in refused)
        return Dropped(left, words if left else text if words else "")
    return _among_words(text, refused) if len(text) <= _LONGEST_MIXED else Dropped((), text)


def parse_dropped(text: str) -> list[str]:
    """Return the pictures of which a text consists; empty for ordinary text.

    Understands several paths at once, quoted (``'a b.png'``, ``"a b.png"``) or with backslashes
    (``a\\ b.png``), ``file:`` addresses, one to a line or in a row, http(s) addresses with a
    picture's suffix, paths of Windows, and a ``data:`` address. Every part must name an existing
    file: one with a picture's suffix, or any file if its path is absolute, as that of a dropped
    file always is. Returned paths are absolute.
    """
    text = text.strip("\r\n")
    if _DATA_URL.fullmatch(text.strip(" \t'\"")):
        return [text.strip(" \t'\"")]
    if not text.strip() or len(text) > _LONGEST_TEXT:
        return []
    lines = [line for line in text.splitlines() if line.strip()]
    for found in (_literal([text]), _words(text), _literal(lines)):
        if found:
            return found
    by_line = [_literal([line]) or _words(line) for line in lines]
    return [one for line in by_line for one in line] if all(by_line) else []


def missing_picture(text: str) -> str:
    """Return the picture's path of which a text consists where no file is there, "" otherwise."""
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark without its partner
        return ""
    if len(words) != 1 or _is_address(words[0]) or not _has_suffix(file_of(words[0])):
        return ""
    path = file_of(words[0])
    return "" if existing(path) else path


@dataclass(frozen=True, slots=True)
class NamedPicture:
    """A picture's path in a text; ``start`` and ``end`` are its place there."""

    path: str
    start: int
    end: int

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def pictures_in(text: str) -> list[NamedPicture]:
    """Return the existing picture files that are named in a text, as ``@path`` or plainly.

    Paths with blanks are quoted, or have a backslash before each.
    """
    found: list[NamedPicture] = []
    for match in _NAMED.finditer(text[:_LONGEST_TEXT]):
        quoted, plain = match["quoted"], match["plain"]
        if len(found) == _MOST:
            break
        path = quoted if quoted is not None else re.sub(r"\\(.)", r"\1", plain)
        if _is_address(path) or not _has_suffix(file_of(path)):
            continue
        if (source := _source(path)) is not None:
            found.append(NamedPicture(source, *match.span()))
    return found


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark without its partner
        return []
    # Between double quotes a shell takes "\\$" for "$"; shlex keeps the backslash.
    return (
        _literal(words)
        or _literal([_ESCAPED.sub(r"\1", word) for word in words])
        or _literal([word.strip("\"'") for word in _UNESCAPED_WORD.findall(text)])
    )


def _literal(parts: list[str]) -> list[str]:
    """Return what each part names; empty unless every one names a picture."""
    found = []
    for part in parts[: _MOST + 1]:
        # A name may begin or end with a space; a paste more often does.
        source = _source(part) or _source(part.strip())
        if source is None:
            return []
        found.append(source)
    return found if len(found) <= _MOST else []


def _source(part: str) -> str | None:
    for split, sign in ((split_region, "@"), (split_pages, "#")):
        whole, typed = split(part)
        if typed and (found := _source(whole)) and not existing(part):
            return f"{found}{sign}{typed}"
    if _is_address(part):
        return part if _is_picture_url(part) else None
    others = SUFFIXES | _UNREADABLE
    if _has_suffix(part, others) or os.path.isabs(part) or is_windows_path(part):
        path = existing(part)
        if path and _is_file(path) and (os.path.isabs(path) or _has_suffix(path, others)):
            return os.path.join(os.getcwd(), path)
    if not part.lower().startswith(("file:", "~")):
        return None
    try:
        path = to_path(part)
    except PictureError:
        return None
    return path if os.path.isabs(path) and _is_file(path) else None


def _is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def file_of(source: str) -> str:
    """Return a path or an address without the pages and the part that are named behind it."""
    return split_pages(split_region(source)[0])[0]


def _is_picture_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.hostname) and not any(c.isspace() for c in text) and _has_suffix(parts.path)


def is_picture_file(word: str) -> bool:
    """Say whether a word is the path of a picture: what a shell makes of ``*.png``."""
    return _has_suffix(word) and _is_file(word)


def names_picture(word: str) -> bool:
    """Say whether a word can only name a picture, or a part or pages of one, there or not."""
    return _has_suffix(file_of(word)) or bool(_ADDRESS.match(word))


def _has_suffix(path: str, suffixes: Collection[str] = SUFFIXES) -> bool:
    return os.path.splitext(path)[1].lower() in suffixes


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


# Pictures among words


def _among_words(text: str, refused: Collection[str]) -> Dropped:
    sources: dict[str, None] = {}
    words, at = "", 0
    for start in islice(_START.finditer(text), _MOST_TRIED):
        if start.start() < at or (found := _named_at(text, start.start())) is None:
            continue
        source, end = found
        if source in refused or (len(sources) == _MOST and source not in sources):
            continue
        sources[source] = None
        words += text[at : start.start()]
        at = end
        within = words.strip() and not (_SENTENCE_END.search(words) and not text[at:].strip())
        if within and not is_data_url(source):
            words += os.path.basename(source)
        elif not words.strip():
            at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,:;"))
    if not sources:
        return Dropped((), text)
    return Dropped(tuple(sources), (words + text[at:]).strip())


def _named_at(text: str, start: int) -> tuple[str, int] | None:
    """Return the picture whose path or address begins here, and where that ends."""
    if found := _DATA_URL_WORD.match(text, start):
        return found[0], found.end()
    if closing := _CLOSING.get(text[start]):
        end = text.find(closing, start + 1, start + _LONGEST_PATH)
        source = _picture(text[start + 1 : end]) if end > 0 else None
        return (source, end + 1) if source else None
    line = text[start : start + _LONGEST_PATH].partition("\n")[0]
    # the longest first: names have spaces that not every terminal escapes
    ends = [match.end() for match in islice(_SUFFIX.finditer(line), _MOST_ENDS)]
    for end in reversed(ends):
        if source := _picture(line[:end]) or _picture(re.sub(r"\\(.)", r"\1", line[:end])):
            return source, start + end
    return None


def _picture(path: str) -> str | None:
    source = _source(path)
    return source if source and _has_suffix(file_of(source)) else None
