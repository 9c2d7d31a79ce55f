"""Documents: their pages as pictures, and the text of these."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from assistant.pictures import names
from assistant.pictures.decode import Watch, asked, drawn, looking, made_up
from assistant.pictures.decoder.frames import Header
from assistant.pictures.passwords import PASSWORDS
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError
from assistant.values.origin import Origin, pages_of, typed_pages

LONGEST = 2400
"""Pixels of a page's longest side: 205 dots an inch of A4, so that a part of it is sharp, too."""

_MOST = 100_000
"""Pages of a document at most."""
_MOST_TEXT = 1 << 20
_HEAD = 1024
"""Bytes in which a PDF may begin, by its standard."""


@dataclass(frozen=True)
class Document:
    """A document with at least one page. Whatever asks for a page raises PictureError."""

    data: bytes = field(repr=False)
    name: str
    count: int
    form: str = "pdf"
    """``pdf`` or ``tiff``, whose pages have pixels of their own."""
    password: str = field(default="", repr=False)
    unit = "page"

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def pages(self, typed: str, most: int | None = None) -> list[int]:
        """Return the pages that ``typed`` names, or all: of these there may be ``most``."""
        if typed:
            return pages_of(typed, self.count, self.name)
        if most is not None and self.count > most:
            raise PictureError(
                f"{self.name} has {self.count:,} pages: "
                f"name those that you mean, as {self.name}#1-{most}.",
                code="pages",
            )
        return list(range(1, self.count + 1))

    def label(self, number: int) -> str:
        """Return the number of a page."""
        return str(number)

    def source_of(self, whole: str, pages: list[int]) -> str:
        """Return the source of these pages, of a document that ``whole`` names."""
        return f"{whole}#{typed_pages(pages)}"

    def page(
        self, number: int, *, longest: int | None = None, watch: Watch | None = None
    ) -> PictureFile:
        """Draw a page as a picture (PNG), named "report.pdf, page 2"."""
        most = longest or (LONGEST if self.form == "pdf" else 0)
        header = {"op": "page", "page": number, "longest": most, "form": self.form}
        header |= {"password": self.password}
        origin = Origin(self.sha256, self.name, number)
        return drawn(header, self.data, self.title(number), origin, watch)

    def title(self, number: int) -> str:
        """Return the name of a page as a picture."""
        return f"{self.name}, page {number}" if self.count > 1 else self.name

    def text(self, number: int) -> str:
        """Read the text layer of a page; "" where it has none."""
        if self.form != "pdf":
            return ""
        header = {"op": "text", "page": number, "password": self.password}
        _, text = asked(header, self.data, _MOST_TEXT, self.name, looking(self.data, None))
        return text.decode("utf-8", "replace")


def is_document(data: bytes) -> bool:
    """Whether bytes begin as a document does."""
    return data[:_HEAD].lstrip(b"\xef\xbb\xbf\0 \t\r\n").startswith(b"%PDF-")


def is_tiff(data: bytes) -> bool:
    """Whether bytes begin as a TIFF file, which may have several pages."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_document(data: bytes, name: str, watch: Watch | None = None) -> Document:
    """Open a document and count its pages. Raises PictureError."""
    label = names.shown(name)
    form = "tiff" if is_tiff(data) else "pdf"
    found, password = _counted(data, form, label, watch)
    count = found.get("count")
    if type(count) is not int or count > _MOST:
        raise made_up(label)
    if count < 1:
        raise PictureError(f"{label} has no page; get another copy of it.")
    return Document(data, label, count, form, password)


def _counted(data: bytes, form: str, label: str, watch: Watch | None) -> tuple[Header, str]:
    """Count the pages; return the password that it took, too."""
    refused: PictureError | None = None
    for password in PASSWORDS.tried(label):
        header = {"op": "count", "form": form, "password": password}
        try:
            return asked(header, data, 0, label, looking(data, watch))[0], password
        except PictureError as error:
            if error.code != "password":
                raise
            refused = error
    assert refused is not None
    raise refused
