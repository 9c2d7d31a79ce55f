"""Pictures from a path, an address or bytes: one, pages of a document, or frames of a film."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.pictures.data_urls import is_data_url, open_data_url
from assistant.pictures.decode import Watch, cut, open_bytes
from assistant.pictures.documents import Document, is_document, is_tiff, open_document
from assistant.pictures.dropped import VIDEO_SUFFIXES
from assistant.pictures.fetch import is_web_address, read_url
from assistant.pictures.films import Film, is_animated, is_video, open_animation, open_video
from assistant.pictures.names import from_path
from assistant.pictures.path_forms import existing
from assistant.pictures.paths import checked_path, read_path
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError
from assistant.values.origin import split_pages
from assistant.values.region import box_of, split_region


@dataclass(frozen=True, slots=True)
class _Read:
    """The bytes of a source, or the path of a video, which may be too large to be read at once."""

    data: bytes
    path: str
    name: str | None
    typed: str
    """The pages or moments that are named behind it."""


def open_each(
    source: str | Path | bytes,
    *,
    most: int | None = None,
    name: str | None = None,
    watch: Watch | None = None,
    moves: bool = True,
) -> Iterator[PictureFile]:
    """Open the pictures of a source, one after the other: one, or pages, or frames.

    ``report.pdf#2-4`` are pages of a document; of one that names none ``most`` are opened.
    ``clip.mp4#0:05-0:12`` are frames of a film; without ``moves`` an animated picture is its first.
    ``photo.jpg@10,20,300,300`` is the part of a picture, or of each page, at this left, top, width
    and height, in pixels or percent. A file that has such a name is meant before any of these.
    ``name`` replaces the name taken from the source. Raises PictureError, which names the source.
    """
    if isinstance(source, str) and not existing(source):
        whole, typed = split_region(source)
        if typed:
            for file in open_each(whole, most=most, name=name, watch=watch, moves=moves):
                box = box_of(typed, file.width, file.height, file.name)
                yield cut(file, file.data, box, watch=watch)
            return
        if hint := None if is_web_address(source) else _hint(split_pages(source)[0]):
            raise hint
    if isinstance(source, str) and is_data_url(source.strip()):
        yield open_data_url(source.strip(), name, watch)
        return
    read = _read(source, watch)
    name = name or read.name
    pages = _pages(read, name or "The file", watch, moves=moves)
    if pages is not None:
        for number in pages.pages(read.typed, most):
            yield pages.page(number, watch=watch)
        return
    if read.typed and isinstance(source, str) and not is_web_address(source):
        raise PictureError(f"{name} has neither pages nor frames: leave out “#{read.typed}”.")
    yield open_bytes(read.data, name=name, watch=watch)


def open_source(
    source: str | Path | bytes, *, name: str | None = None, watch: Watch | None = None
) -> PictureFile:
    """Open the first picture of a source: of bytes no page of a document. Raises PictureError."""
    if isinstance(source, bytes):
        return open_bytes(source, name=name, watch=watch)
    return next(open_each(source, name=name, watch=watch, moves=False))


def read_document(source: str, watch: Watch | None = None) -> tuple[Document | Film, str]:
    """Read a document or a film, and what the source names of it. Raises PictureError."""
    read = _read(source, watch)
    pages = _pages(read, read.name or "The file", watch)
    if pages is None:
        raise PictureError(f"{read.name} has neither pages nor frames.")
    return pages, read.typed


def _pages(
    read: _Read, name: str, watch: Watch | None, *, moves: bool = True
) -> Document | Film | None:
    """Return the document or the film that was read; None for one picture."""
    if read.path or is_video(read.data):
        return open_video(read.data, read.path, name, read.typed, watch)
    if is_document(read.data):
        return open_document(read.data, name, watch)
    if is_tiff(read.data):
        return _scans(read, name, watch)
    if (moves or read.typed) and is_animated(read.data):
        try:
            return open_animation(read.data, name, read.typed, watch)
        except PictureError:
            if read.typed:
                raise
    return None  # a damaged animation is what can be seen of its first frame


def _scans(read: _Read, name: str, watch: Watch | None) -> Document | None:
    """Return a TIFF file of several pages, or of one that is named; None for one picture."""
    try:
        document = open_document(read.data, name, watch)
    except PictureError:
        if read.typed:
            raise
        return None  # of a damaged one is shown what can be seen of its first page
    return document if document.count > 1 or read.typed else None


def _hint(source: str) -> PictureError | None:
    """Explain a source that is an existing file and something that names no part of it."""
    for mark, words in (
        ("@", "no part of it: give left,top,width,height in pixels or percent"),
        ("#", "no page, and no moment: give them as #2-4 or #0:05-0:12"),
    ):
        file, _, typed = source.strip().rpartition(mark)
        if file and "/" not in typed and existing(file):
            return PictureError(f"{from_path(file)} is there, but “{mark}{typed}” names {words}.")
    return None


def _read(source: str | Path | bytes, watch: Watch | None) -> _Read:
    if isinstance(source, bytes):
        return _Read(source, "", None, "")
    typed = ""
    if isinstance(source, str) and not existing(source):
        source, typed = split_pages(source)
    if isinstance(source, str) and is_web_address(source):
        data, name = read_url(source.strip(), watch=watch)
        return _Read(data, "", name, typed)
    if os.path.splitext(source)[1].lower() in VIDEO_SUFFIXES:
        path = checked_path(str(source))
        return _Read(b"", path, from_path(path), typed)
    data, name = read_path(source)
    return _Read(data, "", name, typed)
