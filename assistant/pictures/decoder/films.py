"""Frames of animated pictures, by Pillow, and of videos, by ffmpeg. Runs in the decoder alone."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from assistant.pictures.colour import as_seen
from assistant.pictures.decode import MAX_PIXELS, MEDIA_TYPES
from assistant.pictures.decoder import own_files
from assistant.pictures.decoder.programs import run
from assistant.values.errors import PictureError

MOST_STEPS = 5000
"""Frames of an animation that are looked at."""

_STEP_S = 0.1
"""Seconds of a frame without a duration, as browsers have it."""

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf"
"""Formats that ffmpeg may read: none that names other files or addresses, as playlists do."""

_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")


def steps(data: bytes, label: str) -> list[float]:
    """Return when each frame of an animated picture begins, and its end, in seconds."""
    moments, now = [], 0.0
    with animation(data, label) as image:
        for index in range(min(MOST_STEPS, getattr(image, "n_frames", 1))):
            image.seek(index)
            image.load()  # WebP knows the duration of a frame only then
            moments.append(round(now, 3))
            shown = image.info.get("duration") or 0
            now += float(shown) / 1000 if shown else _STEP_S
    return [*moments, round(now, 3)]


def step(data: bytes, index: int, label: str) -> Image.Image:
    """Decode one frame of an animated picture, as viewers show it at that moment."""
    with animation(data, label) as image:
        for before in range(index + 1):
            image.seek(before)  # frames are changes of those before
        return as_seen(image)


@contextmanager
def animation(data: bytes, label: str) -> Iterator[Image.Image]:
    """Open a file of several pictures. Raises PictureError for whatever fails within."""
    try:
        with Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PictureError(f"{label} has too many pixels; scale it down first.")
            yield image
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # decoders fail in any way that untrusted bytes make them
        raise PictureError(f"{label} is damaged or incomplete; get another copy of it.") from error


def duration(data: bytes, path: str, label: str) -> float:
    """Return how long a video is, in seconds; 0 where its file does not say."""
    with _file(data, path) as file:
        said = _ffmpeg(label, "-i", file).stderr.decode("utf-8", "replace")
    if "Video:" not in said:
        raise PictureError(f"{label} is damaged, or no video that ffmpeg can read.")
    found = _DURATION.search(said)
    if found is None:
        return 0.0
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def moment(data: bytes, path: str, seconds: float, label: str) -> Image.Image:
    """Decode the frame of a video at a moment, upright."""
    with _file(data, path) as file:
        picked = ("-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-pix_fmt", "rgb24", "-")
        done = _ffmpeg(label, "-ss", f"{seconds:.3f}", "-i", file, *picked)
    if not done.stdout:
        raise PictureError(f"{label} can't be decoded: it is damaged, or ends before that.")
    with Image.open(io.BytesIO(done.stdout), formats=("PNG",)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(f"{label} has too many pixels; scale it down first.")
        return as_seen(image)


@contextmanager
def _file(data: bytes, path: str) -> Iterator[str]:
    """Name the file of a video: bytes become one, because a video is not read in one go."""
    if path:
        yield f"file:{path}"
        return
    with tempfile.NamedTemporaryFile(prefix=own_files.beginning(os.getpid())) as file:
        file.write(data)
        file.flush()
        yield f"file:{file.name}"


def _ffmpeg(label: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ffmpeg")
    if program is None:
        raise PictureError(f"{label} is a video: install ffmpeg, which reads its frames.")
    safe = ("-protocol_whitelist", "file", "-format_whitelist", _CONTAINERS, "-threads", "1")
    return run([program, "-hide_banner", "-nostdin", *safe, *arguments], label)
