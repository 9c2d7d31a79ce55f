"""Checksums as the hub states them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

CHUNK = 2**20


class Digest(Protocol):
    """The part of hashlib's objects that is used."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def begin(expected: str, size: int) -> Digest:
    """Make an empty digest of the kind of ``expected``, for a file of ``size`` bytes.

    SHA-256 for files in the hub's large-file storage (64 digits); git's SHA-1 of a blob for the
    others (40 digits), which counts a header with the size.
    """
    if len(expected) == 64:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)


def feed(digest: Digest, path: Path, on_bytes: Callable[[int], None]) -> None:
    """Read a file into ``digest``; ``on_bytes`` is called for every piece and may raise."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            on_bytes(len(piece))
