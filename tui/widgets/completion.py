"""Completion of what is typed: commands, picture paths, and #numbers of pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui.slashes import Slash, matching_slashes, similar_slash, split_slash

if TYPE_CHECKING:
    from assistant.pictures.dropped import NamedPicture

MOST_OFFERED = 200


@dataclass(frozen=True, slots=True)
class Completion:
    """``text`` replaces the fragment; ``candidates`` are the names that were possible."""

    text: str
    candidates: tuple[str, ...] = ()


REFERENCE = re.compile(r"#(?<![\w#&/]#)(\d{1,6})\b")
"""``#3`` in a text: picture 3 of this session. The sign comes first, because a text of a megabyte
is searched for a sign in a hundredth of the time that a look behind each character takes."""


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """A picture of the open session, or one that is about to be sent."""

    number: int
    name: str
    is_seen: bool = True
    """Whether the model still sees it."""
    is_sent: bool = True


def references(text: str) -> list[int]:
    """Return the numbers of the pictures that a text refers to, each once."""
    return list(dict.fromkeys(int(number) for number in REFERENCE.findall(text)))


def complete_reference(fragment: str, pictures: Sequence[KnownPicture]) -> Completion | None:
    """Complete ``#`` and the beginning of a number, or a part of a name; the newest come first."""
    wanted = fragment[1:].lower()
    matches = [
        picture
        for picture in reversed(pictures)
        if str(picture.number).startswith(wanted) or (wanted and wanted in picture.name.lower())
    ]
    if not matches:
        return None
    names = tuple(f"#{picture.number} {picture.name}" for picture in matches)
    return Completion(f"#{matches[0].number} " if len(matches) == 1 else fragment, names)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder; a link into one that may not be entered raises where it is."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def looks_like_picture(path: Path | str) -> bool:
    """Say whether a file name ends like a picture's, in either case; any file may be typed."""
    from assistant.pictures.dropped import SUFFIXES  # its library is imported only now

    return Path(path).suffix.lower() in SUFFIXES


def is_document(path: str) -> bool:
    """Say whether a file name ends like that of a document with pages, or of a video."""
    from assistant.pictures.dropped import DOCUMENT_SUFFIXES, VIDEO_SUFFIXES  # late, as above

    return Path(path).suffix.lower() in DOCUMENT_SUFFIXES | VIDEO_SUFFIXES


def mistaken_slash(name: str) -> Slash | None:
    """Return the command that ``/atach`` most likely means, which is neither one nor a path."""
    if split_slash(name) is None or matching_slashes(name):
        return None
    slash = similar_slash(name)
    # Names are read, no file is looked at: it may be a network's folder that hangs.
    return None if slash is None or name[1:] in os.listdir(os.sep) else slash


def may_name_pictures(text: str) -> bool:
    """Say whether the disk has to be looked at to know which pictures a text names."""
    from assistant.pictures.dropped import may_name_pictures as may  # late, as above

    return may(text)


def pictures_in(text: str) -> list[NamedPicture]:
    """Return the picture files that a message names; none in a slash command."""
    from assistant.pictures.dropped import pictures_in as find  # its library is imported only now

    return [] if split_slash(text) is not None else find(text)


def _common(names: Sequence[str]) -> str:
    """Return the longest beginning that all names share."""
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first[:length] if length is not None else min(first, last, key=len)


def last_word(text: str) -> str:
    """Return the last shell-like word of ``text`` as typed, with its quotes and escapes."""
    start, quote, index = 0, "", 0
    while index < len(text):
        character = text[index]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and index == start:
            quote = character
        elif character == "\\":
            index += 1
        elif character == " ":
            start = index + 1
        index += 1
    return text[start:]


def complete_path(fragment: str) -> Completion | None:
    """Complete a path to a folder or a picture; None when nothing fits.

    ``fragment`` may begin with ``~`` or a quote and may hold escaped blanks;
    the answer is quoted in the same manner (blanks are escaped where no quote
    was opened).
    """
    quote = fragment[:1] if fragment[:1] in {"'", '"'} else ""
    typed = fragment[1:] if quote else fragment.replace("\\ ", " ")
    folder_text, _, beginning = typed.rpartition("/")
    folder = Path(os.path.expanduser(folder_text + "/" if "/" in typed else "."))
    if typed == "~":
        return Completion("~/", ("~/",))
    from assistant.pictures.path_forms import plain_name  # late, as above

    wanted = plain_name(beginning).lower()
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name + ("/" if is_folder(entry) else "")
                for entry in entries
                if plain_name(entry.name).lower().startswith(wanted)
                and (not entry.name.startswith(".") or beginning.startswith("."))
                and (is_folder(entry) or looks_like_picture(entry.name))
            )[:MOST_OFFERED]
    except OSError:
        return None
    if not names:
        return None
    common = _common(names)
    if len(common) < len(beginning):  # names that differ only in case from what was typed
        common = beginning
    done = len(names) == 1 and not common.endswith("/")
    prefix = folder_text + "/" if "/" in typed else ""
    completed = prefix + common
    if quote:
        completed = quote + completed + (quote if done else "")
    else:
        completed = completed.replace(" ", "\\ ")
    return Completion(completed + (" " if done else ""), tuple(names))
