"""A picture from a path, an address or its bytes."""

from __future__ import annotations

from pathlib import Path

from assistant.pictures.data_urls import is_data_url, open_data_url
from assistant.pictures.decode import MAX_BYTES, Watch, cut, open_bytes
from assistant.pictures.fetch import open_url
from assistant.pictures.path_forms import existing
from assistant.pictures.paths import open_path
from assistant.values.conversation import PictureFile
from assistant.values.region import box_of, split_region


def open_source(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    watch: Watch | None = None,
) -> PictureFile:
    """Open a picture from a path, an address (http, https, file or data) or its bytes.

    ``photo.jpg@10,20,300,300`` is the part of a picture at this left, top, width and height, in
    pixels or percent, unless a file has that name. ``name`` replaces the name taken from the
    source. Raises PictureError, which names the source.
    """
    if isinstance(source, bytes):
        return open_bytes(source, name=name, max_bytes=max_bytes, watch=watch)
    if isinstance(source, str) and not existing(source):
        whole, typed = split_region(source)
        if typed:
            file = open_source(whole, name=name, max_bytes=max_bytes, watch=watch)
            box = box_of(typed, file.width, file.height, file.name)
            return cut(file, file.data, box, watch=watch)
    if isinstance(source, str) and is_data_url(source.strip()):
        return open_data_url(source.strip(), name=name, max_bytes=max_bytes, watch=watch)
    if isinstance(source, str) and source.strip().lower().startswith(("http://", "https://")):
        return open_url(source.strip(), name=name, max_bytes=max_bytes, watch=watch)
    return open_path(source, name=name, max_bytes=max_bytes, watch=watch)
