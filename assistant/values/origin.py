"""Pages of documents: where a picture comes from, and how users name some of several pages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assistant.values.errors import PictureError

_SUFFIX = re.compile(r"#(?:page=)?(\d{1,6}(?:-\d{0,6})?(?:,\d{1,6}(?:-\d{0,6})?)*)$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """The page of a document that a picture is, counted from 1, or its moment of a film (page 0).

    ``sha256`` names the bytes of that file, ``name`` is the file's own.
    """

    sha256: str
    name: str
    page: int = 0
    seconds: float = 0.0


def split_pages(source: str) -> tuple[str, str]:
    """Split ``report.pdf#2-4`` into the document and its pages; "" where none are named."""
    found = _SUFFIX.search(source.rstrip())
    return (source[: found.start()], found[1]) if found and found.start() else (source, "")


def pages_of(typed: str, count: int, name: str) -> list[int]:
    """Return the pages that were typed, of ``count``, in that order; each once.

    ``2-`` are all from the second. Raises PictureError for a page that is not there.
    """
    pages: dict[int, None] = {}
    for span in typed.split(","):
        first, dash, last = span.partition("-")
        low, high = int(first), int(last or count) if dash else int(first)
        if not 1 <= low <= high <= count:
            there = f"it has pages 1 to {count}" if count > 1 else "it has one page"
            raise PictureError(f"{name} has no page {span}: {there}.")
        pages.update(dict.fromkeys(range(low, high + 1)))
    return list(pages)


def typed_pages(pages: list[int]) -> str:
    """Return pages as a user types them: ``1,3-5``."""
    spans: list[list[int]] = []
    for page in pages:
        if spans and page == spans[-1][1] + 1:
            spans[-1][1] = page
        else:
            spans.append([page, page])
    return ",".join(f"{low}-{high}" if high > low else str(low) for low, high in spans)
