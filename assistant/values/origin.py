"""Pages of documents and moments of films: where pictures come from, and how users name some."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assistant.values.errors import PictureError

_PLACE = r"(?:\d{1,2}:){0,2}\d{1,6}(?:\.\d{1,3})?"
"""A page, or a moment: seconds, ``1:05``, ``1:00:05.5``."""
_SPAN = rf"{_PLACE}(?:-(?:{_PLACE})?)?"
_SUFFIX = re.compile(rf"#(?:page=|t=)?({_SPAN}(?:,{_SPAN})*)$", re.ASCII)
_NUMBERS = re.compile(r"[\d,-]+", re.ASCII)

MOST_FRAMES = 9
"""Frames of a film, or of a span of it, at most."""


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
    """Split ``report.pdf#2-4`` into a file and its pages, or moments; "" where none are named."""
    found = _SUFFIX.search(source.rstrip())
    return (source[: found.start()], found[1]) if found and found.start() else (source, "")


def pages_of(typed: str, count: int, name: str) -> list[int]:
    """Return the pages that were typed, of ``count``, in that order; each once.

    ``2-`` are all from the second. Raises PictureError for a page that is not there.
    """
    if not _NUMBERS.fullmatch(typed):
        raise PictureError(f"{name} has pages and no times: name them as {name}#1.")
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


def moments_of(typed: str, duration: float, name: str) -> list[float]:
    """Return the moments that were typed, in seconds; those of a span are spread over it.

    Without any they are spread over all of a film of ``duration`` seconds. Raises PictureError for
    one behind its end.
    """
    moments: dict[float, None] = {}
    for span in typed.split(",") if typed else [f"0-{duration:.3f}"]:
        first, dash, last = span.partition("-")
        begin = _seconds(first)
        end = (_seconds(last) if last else duration) if dash else begin
        if begin > end or begin > duration:
            raise PictureError(f"{name} has nothing at {span}: it ends at {clock(duration)}.")
        length = min(end, duration) - begin
        steps = MOST_FRAMES if length else 1
        spread = (begin + length * (step + 0.5) / steps for step in range(steps))
        moments.update(dict.fromkeys(round(one, 1 if length >= steps else 3) for one in spread))
    return list(moments)


def _seconds(typed: str) -> float:
    seconds = 0.0
    for part in typed.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def clock(seconds: float) -> str:
    """Return a moment as a user types it: ``1:05``, ``0:00.4``."""
    thousandths = round(1000 * seconds)
    minutes, rest = divmod(thousandths, 60_000)
    whole, part = divmod(rest, 1000)
    fraction = f".{part:03}".rstrip("0") if part else ""
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{head}:{whole:02}{fraction}"
