"""Pages of PDF files, drawn by PDFium. Runs in the decoder process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from PIL import Image

from assistant.values.errors import PictureError

if TYPE_CHECKING:
    import pypdfium2

MOST_DPI = 300
"""Dots an inch of small pages, which would be blown up otherwise."""

MOST_TEXT = 100_000
"""Characters of a page's text at most."""

_BREAKS = str.maketrans({"\r": None, "\x02": None, "\ufffe": None})
"""PDFium's marks of hyphens at the end of a line, and half of its line feeds."""


def count(data: bytes, label: str, password: str = "") -> int:
    """Count the pages. Raises PictureError."""
    with _opened(data, label, password) as document:
        return len(document)


def page(data: bytes, number: int, longest: int, label: str, password: str = "") -> Image.Image:
    """Draw a page, on white, with annotations and filled forms; ``longest`` pixels at most."""
    with _opened(data, label, password) as document:
        if document.get_formtype():
            document.init_forms()  # without it what a user filled in is not drawn
        drawn = document[number - 1]
        points = max(1.0, *drawn.get_size())
        bitmap = drawn.render(scale=min(longest / points, MOST_DPI / 72), rev_byteorder=True)
        image: Image.Image = bitmap.to_pil().convert("RGB")
        return image


def text(data: bytes, number: int, label: str, password: str = "") -> str:
    """Read the text layer of a page; "" where it is a scan."""
    with _opened(data, label, password) as document:
        found: str = document[number - 1].get_textpage().get_text_range()
        return found[:MOST_TEXT].translate(_BREAKS).strip()


@contextmanager
def _opened(data: bytes, label: str, password: str) -> Iterator[pypdfium2.PdfDocument]:
    import pypdfium2
    from pypdfium2 import raw

    reasons: dict[Any, str] = {
        raw.FPDF_ERR_PASSWORD: f"{label} needs a password: on a terminal phichat asks for it; "
        "elsewhere save a copy without one.",
        raw.FPDF_ERR_SECURITY: f"{label} is encrypted in a way that can't be opened here: "
        "save a copy without that.",
    }
    damaged = f"{label} is damaged or incomplete; get another copy of it."
    try:
        document = pypdfium2.PdfDocument(data, password=password or None)
        try:
            yield document
        finally:
            document.close()
    except pypdfium2.PdfiumError as error:
        code = "password" if error.err_code == raw.FPDF_ERR_PASSWORD else None
        raise PictureError(reasons.get(error.err_code, damaged), code=code) from error
