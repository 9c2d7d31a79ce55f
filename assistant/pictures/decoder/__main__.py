"""The decoder process: reads pictures from its link, writes pixels or a sentence to it."""

from __future__ import annotations

import base64
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from types import ModuleType

from PIL import Image

from assistant.pictures.decode import MAX_BYTES, MAX_MEMORY
from assistant.pictures.decoder import examine, films, pdf, tiff
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
            header, payload, size = _answer(asked, data)
        finally:
            _limit_time(0)
        with suppress(OSError):  # the app gave up
            send(link, header, payload, size)


def _end() -> None:
    raise EOFError


_Answer = tuple[Header, Iterable[bytes], int]


def _answer(asked: Header, data: bytes) -> _Answer:
    """Return the header of the answer, the bytes that follow it, and their number."""
    try:
        if asked["op"] in _OF_DOCUMENTS:
            return _OF_DOCUMENTS[asked["op"]](asked, data)
        size = tuple(asked["size"]) if asked.get("size") else None
        found = examine.decoded(data, asked["label"], size)
        image = found.image
        match asked["op"]:
            case "pixels":
                rgb = examine.rgb_bands(image)
                return _size(image), rgb, image.width * image.height * 3
            case "cut":
                return _as_png(examine.part(image, *asked["box"]), found.notice)
        return _facts(found), (), 0
    except PictureError as error:
        return {"error": str(error), "code": error.code}, (), 0
    except MemoryError:
        words = f"There is not enough memory to open {asked['label']}; scale it down first."
        return {"error": words}, (), 0


def _count(asked: Header, data: bytes) -> _Answer:
    count = _reader(asked).count(data, asked["label"], **_secret(asked))
    return {"count": count}, (), 0


def _page(asked: Header, data: bytes) -> _Answer:
    place = asked["page"], asked["longest"], asked["label"]
    return _as_png(_reader(asked).page(data, *place, **_secret(asked)))


def _reader(asked: Header) -> ModuleType:
    return tiff if asked["form"] == "tiff" else pdf


def _secret(asked: Header) -> Header:
    """Return the password of a document that has one."""
    return {"password": asked["password"]} if asked.get("password") else {}


def _text(asked: Header, data: bytes) -> _Answer:
    found = pdf.text(data, asked["page"], asked["label"], **_secret(asked))
    text = found.encode("utf-8", "replace")
    return {}, (text,), len(text)


def _steps(asked: Header, data: bytes) -> _Answer:
    return {"steps": films.steps(data, asked["label"])}, (), 0


def _step(asked: Header, data: bytes) -> _Answer:
    return _as_png(films.step(data, asked["index"], asked["label"]))


def _duration(asked: Header, data: bytes) -> _Answer:
    return {"seconds": films.duration(data, asked["path"], asked["label"])}, (), 0


def _moment(asked: Header, data: bytes) -> _Answer:
    return _as_png(films.moment(data, asked["path"], asked["at"], asked["label"]))


_OF_DOCUMENTS = {
    "count": _count, "page": _page, "text": _text,
    "steps": _steps, "step": _step, "duration": _duration, "moment": _moment,
}  # fmt: skip
"""Requests about documents and films."""


def _as_png(image: Image.Image, notice: str = "") -> _Answer:
    png = examine.as_png(image)
    return _facts(examine.Decoded(image, "PNG", notice)), (png,), len(png)


def _size(image: Image.Image) -> Header:
    return {"width": image.width, "height": image.height}


def _facts(found: examine.Decoded) -> Header:
    return {
        **_size(found.image),
        "format": found.format,
        "notice": found.notice,
        "look": examine.look(found.image),
        "pixels_sha256": examine.pixels_sha256(found.image),
        "thumbnail": base64.b64encode(examine.thumbnail(found.image)).decode(),
    }


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
