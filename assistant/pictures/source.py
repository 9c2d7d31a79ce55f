"""Pictures from a path, an address or bytes: one, or the pages of a document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assistant.pictures.data_urls import is_data_url, open_data_url
from assistant.pictures.decode import MAX_BYTES, Watch, cut, open_bytes
from assistant.pictures.documents import Document, is_document, open_document, open_pages
from assistant.pictures.fetch import is_web_address, read_url
from assistant.pictures.path_forms import existing
from assistant.pictures.paths import read_path
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError
from assistant.values.origin import split_pages
from assistant.values.region import box_of, split_region


def open_each(
    source: str | Path | bytes,
    *,
    most: int | None = None,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    watch: Watch | None = None,
) -> Iterator[PictureFile]:
    """Open the pictures of a source, one after the other: one, or the pages of a document.

    ``report.pdf#2-4`` are pages of a document; of one that names none ``most`` are opened.
    ``photo.jpg@10,20,300,300`` is the part of a picture, or of each page, at this left, top, width
    and height, in pixels or percent. A file that has such a name is meant before either. ``name``
    replaces the name taken from the source. Raises PictureError, which names the source.
    """
    if isinstance(source, str) and not existing(source):
        whole, typed = split_region(source)
        if typed:
            for file in open_each(whole, most=most, name=name, max_bytes=max_bytes, watch=watch):
                box = box_of(typed, file.width, file.height, file.name)
                yield cut(file, file.data, box, watch=watch)
            return
    if isinstance(source, str) and is_data_url(source.strip()):
        yield open_data_url(source.strip(), name=name, max_bytes=max_bytes, watch=watch)
        return
    data, found_name, typed = _read(source, max_bytes, watch)
    if is_document(data):
        document = open_document(data, name or found_name or "The document", watch)
        yield from open_pages(document, typed, most, watch)
        return
    if typed and isinstance(source, str) and not is_web_address(source):
        raise PictureError(f"{found_name} is no document: leave out “#{typed}”.")
    yield open_bytes(data, name=name or found_name, max_bytes=max_bytes, watch=watch)


def open_source(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    watch: Watch | None = None,
) -> PictureFile:
    """Open the first picture of a source: of bytes no page of a document. Raises PictureError."""
    if isinstance(source, bytes):
        return open_bytes(source, name=name, max_bytes=max_bytes, watch=watch)
    return next(open_each(source, name=name, max_bytes=max_bytes, watch=watch))


def read_document(source: str, watch: Watch | None = None) -> tuple[Document, str]:
    """Read a document, and the pages of it that the source names. Raises PictureError."""
    data, name, typed = _read(source, MAX_BYTES, watch)
    if not is_document(data):
        raise PictureError(f"{name} is no document with pages.")
    return open_document(data, name or "The document", watch), typed


def _read(
    source: str | Path | bytes, max_bytes: int, watch: Watch | None
) -> tuple[bytes, str | None, str]:
    """Read bytes, the name of their file, and the pages that are named behind it."""
    if isinstance(source, bytes):
        return source, None, ""
    typed = ""
    if isinstance(source, str) and not existing(source):
        source, typed = split_pages(source)
    if isinstance(source, str) and is_web_address(source):
        return *read_url(source.strip(), max_bytes=max_bytes, watch=watch), typed
    return *read_path(source, max_bytes=max_bytes), typed
