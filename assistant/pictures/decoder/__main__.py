"""The decoder process: reads pictures from its link, writes pixels or a sentence to it."""

from __future__ import annotations

import base64
import signal
import socket
import sys
from contextlib import suppress

from PIL import Image

from assistant.pictures.decode import MAX_BYTES, MAX_MEMORY
from assistant.pictures.decoder import examine
from assistant.pictures.decoder.frames import Header, receive, send
from assistant.values.errors import PictureError

IDLE_S = 60.0
"""Seconds without a picture after which the process ends; the next picture starts another."""


def main(link: socket.socket) -> None:
    """Answer until the app closes the link, or asks nothing for a while."""
    _limit_memory()
    while True:
        try:
            link.settimeout(IDLE_S)
            asked, received = receive(link, MAX_BYTES, _end)
        except (EOFError, OSError):
            return
        link.settimeout(None)
        data = bytes(received)
        del received  # it may be large
        _limit_time(asked["seconds"])
        try:
            header, image = _answer(asked, data)
        finally:
            _limit_time(0)
        with suppress(OSError):  # the app gave up
            if image is None:
                send(link, header)
            else:
                send(link, header, examine.rgb_bands(image), image.width * image.height * 3)


def _end() -> None:
    raise EOFError


def _answer(asked: Header, data: bytes) -> tuple[Header, Image.Image | None]:
    """Return the header of the answer, and the picture whose pixels follow it."""
    try:
        size = tuple(asked["size"]) if asked.get("size") else None
        found = examine.decoded(data, asked["label"], size)
        header = {"width": found.image.width, "height": found.image.height}
        if asked["op"] == "pixels":
            return header, found.image
        return {
            **header,
            "format": found.format,
            "notice": found.notice,
            "pixels_sha256": examine.pixels_sha256(found.image),
            "thumbnail": base64.b64encode(examine.thumbnail(found.image)).decode(),
        }, None
    except PictureError as error:
        return {"error": str(error)}, None
    except MemoryError:
        label = asked["label"]
        return {"error": f"There is not enough memory to open {label}; scale it down first."}, None


def _limit_memory() -> None:
    """Limit the address space: an allocation beyond it fails, which Pillow reports.

    macOS accepts the limit and does not keep it; Windows has none. There the limits on pixels and
    bytes of a file are all.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        for limit, most in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_CORE, 0)):
            hard = resource.getrlimit(limit)[1]
            if hard != resource.RLIM_INFINITY:
                most = min(most, hard)
            resource.setrlimit(limit, (most, hard))


def _limit_time(seconds: float) -> None:
    """Have the system end this process after so much computing; 0 takes the limit away."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
