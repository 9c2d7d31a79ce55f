"""Films: animated pictures and videos, of which frames are pictures with times."""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from assistant.pictures import names
from assistant.pictures.decode import HEIF_KINDS, Watch, asked, drawn, looking, made_up
from assistant.pictures.decoder.frames import Header
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError
from assistant.values.origin import MOST_FRAMES, Origin, clock, moments_of

_NO_VIDEO = HEIF_KINDS | {b"avif", b"avis"}
"""Kinds of files that begin as an MP4 does, and hold pictures."""
_HEAD = 1 << 16
"""Bytes in which a PNG says that it is animated."""


@dataclass(frozen=True)
class Film:
    """Some moments of a film. Whatever asks for a frame raises PictureError."""

    data: bytes = field(repr=False)
    path: str
    """The file, in place of its bytes; "" for those."""
    name: str
    moments: tuple[float, ...]
    headers: tuple[Header, ...] = field(repr=False)
    """Request to the decoder for each moment."""
    unit = "frame"

    @property
    def count(self) -> int:
        return len(self.moments)

    @cached_property
    def sha256(self) -> str:
        if not self.path:
            return hashlib.sha256(self.data).hexdigest()
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def pages(self, typed: str = "", most: int | None = None) -> list[int]:
        """Return the places of all its moments, counted from 1: they were chosen before."""
        return list(range(1, self.count + 1))

    def label(self, number: int) -> str:
        """Return the moment of a frame."""
        return clock(self.moments[number - 1])

    def source_of(self, whole: str, pages: list[int]) -> str:
        """Return the source of these frames, of a film that ``whole`` names."""
        return f"{whole}#{','.join(map(self.label, pages))}"

    def title(self, number: int) -> str:
        """Return the name of a frame as a picture."""
        return f"{self.name} at {self.label(number)}"

    def page(
        self, number: int, *, longest: int | None = None, watch: Watch | None = None
    ) -> PictureFile:
        """Decode a frame as a picture (PNG), named "clip.mp4 at 0:05"."""
        origin = Origin(self.sha256, self.name, seconds=self.moments[number - 1])
        return drawn(self.headers[number - 1], self.data, self.title(number), origin, watch)

    def text(self, number: int) -> str:
        """Return no text: a frame has none."""
        return ""


def is_animated(data: bytes) -> bool:
    """Whether bytes are those of a picture that may move."""
    if data.startswith(b"GIF8"):
        return True
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X":
        return bool(data[20] & 2) if len(data) > 20 else False
    return data.startswith(b"\x89PNG") and b"acTL" in data[:_HEAD]


def is_video(data: bytes) -> bool:
    """Whether bytes begin as those of a video."""
    is_mp4 = data[4:8] == b"ftyp" and data[8:12] not in _NO_VIDEO
    is_avi = data[:4] == b"RIFF" and data[8:12] == b"AVI "
    return is_mp4 or is_avi or data.startswith(b"\x1a\x45\xdf\xa3")


def open_animation(
    data: bytes, name: str, typed: str = "", watch: Watch | None = None
) -> Film | None:
    """Choose frames of an animated picture; None where it has a single one."""
    label = names.shown(name)
    found, _ = asked({"op": "steps"}, data, 0, label, looking(data, watch))
    steps = found.get("steps")
    if not isinstance(steps, list) or not all(type(one) is float for one in steps):
        raise made_up(label)
    *begins, end = steps
    if len(begins) < 2 and not typed:
        return None
    if typed:
        at = [bisect.bisect_right(begins, one) - 1 for one in moments_of(typed, end, label)]
        chosen = list(dict.fromkeys(at))
    else:
        few = min(len(begins), MOST_FRAMES)
        chosen = [place * len(begins) // few for place in range(few)]
    headers = tuple({"op": "step", "index": index} for index in chosen)
    return Film(data, "", label, tuple(begins[index] for index in chosen), headers)


def open_video(
    data: bytes, path: str, name: str, typed: str = "", watch: Watch | None = None
) -> Film:
    """Choose frames of a video, by its bytes or its path. Raises PictureError."""
    label = names.shown(name)
    found, _ = asked({"op": "duration", "path": path}, data, 0, label, looking(data, watch))
    seconds = found.get("seconds")
    if type(seconds) is not float or not 0 <= seconds < 1e6:
        raise made_up(label)
    moments = tuple(moments_of(typed, seconds, label))
    if len(moments) > 10 * MOST_FRAMES:
        raise PictureError(f"{label}: name fewer moments.")
    headers = tuple({"op": "moment", "path": path, "at": one} for one in moments)
    return Film(data, path, label, moments, headers)
