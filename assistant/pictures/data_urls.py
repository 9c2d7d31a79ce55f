"""Pictures inside an address: ``data:image/png;base64,…``."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote_to_bytes

from assistant.pictures.decode import MAX_BYTES, Watch, open_bytes, too_large
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError

_HEAD = re.compile(r"data:([^,;\s]*)((?:;[^,;]*)*),", re.IGNORECASE)
_LABEL = "The picture in the data: address"


def is_data_url(text: str) -> bool:
    """Say whether a text begins like such an address."""
    return text[:5].lower() == "data:"


def open_data_url(url: str, name: str | None, watch: Watch | None) -> PictureFile:
    """Open the picture that an address holds. Raises PictureError."""
    head = _HEAD.match(url[:1000])
    if head is None:
        raise PictureError("This data: address has no picture in it; copy all of it.")
    body = url[head.end() :]
    if len(body) > 2 * MAX_BYTES:
        raise too_large(_LABEL)
    is_base64 = head[2].lower().replace(" ", "").endswith(";base64")
    data = _from_base64(body) if is_base64 else unquote_to_bytes(body)
    return open_bytes(data, name=name, watch=watch)


def _from_base64(text: str) -> bytes:
    """Decode either alphabet, in lines, escaped, with or without padding."""
    data = unquote_to_bytes(text).translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n=")
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise PictureError(f"{_LABEL} is cut or damaged; copy all of it.") from None
