"""Pictures to attach: opened, and refused if the chosen model can't be shown them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from assistant.engine.model import Model
from assistant.values.context import PictureLayout
from assistant.values.conversation import Picture, PictureFile
from assistant.values.errors import PictureError
from assistant.values.prompt import PictureFormat
from assistant.values.region import Box
from assistant.values.text import quoted

if TYPE_CHECKING:
    from assistant.pictures.clipboard import AskTerminal
    from assistant.pictures.documents import Document
    from assistant.pictures.dropped import Dropped
    from assistant.pictures.films import Film

MOST_PAGES = 9
"""Pages of a document of which none are named; more are asked for by their numbers."""

# assistant.pictures imports PIL, so it is imported when the first picture is opened.


class Pictures:
    """Pictures for the chosen model. Whatever opens one raises PictureError with one sentence."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def open(self, source: str, watch: Callable[[int, int], None] | None = None) -> PictureFile:
        """Open a path or an http(s) URL: of a document, its first page.

        ``watch(received, total)`` is called, in another thread for a URL, with the bytes so far and
        in all (0: not known), and on while the picture is decoded; an exception that it raises
        ends either.
        """
        from assistant.pictures.source import open_source

        return self._checked(open_source(source, watch=watch))

    def open_each(
        self,
        source: str,
        watch: Callable[[int, int], None] | None = None,
        *,
        most: int | None = MOST_PAGES,
    ) -> Iterator[PictureFile]:
        """Open a picture, or one after the other the pages or frames that ``source`` names.

        Of a document that names none, ``most`` are opened; None for all, however many.
        """
        from assistant.pictures.source import open_each

        return map(self._checked, open_each(source, most=most, watch=watch))

    def open_each_of_bytes(self, data: bytes, name: str) -> Iterator[PictureFile]:
        """Open a picture from memory (a pipe, say), or the pages of a document."""
        from assistant.pictures.source import open_each

        return map(self._checked, open_each(data, most=MOST_PAGES, name=name))

    def read_document(
        self, source: str, watch: Callable[[int, int], None] | None = None
    ) -> tuple[Document | Film, str]:
        """Read a document or a film, and what ``source`` names of it."""
        from assistant.pictures.source import read_document

        return read_document(source, watch)

    def unlock(self, password: str) -> None:
        """Try a password on documents that need one, until the process ends."""
        from assistant.pictures.passwords import PASSWORDS

        PASSWORDS.add(password)

    def quoted_text(self, source: str) -> str:
        """Quote the text layer of the pages that ``source`` names, in Markdown."""
        document, typed = self.read_document(source)
        pages = document.pages(typed, MOST_PAGES)
        texts = {document.title(page): document.text(page) for page in pages}
        found = [quoted(f"{title}:\n{text}") for title, text in texts.items() if text]
        if not found:
            raise PictureError(
                f"{document.name} has no text to quote: what it shows is a picture, a scan perhaps."
            )
        return "\n\n".join(found)

    def start_decoding(self) -> None:
        """Start the process that decodes, so that the first picture need not wait for it."""
        from assistant.pictures import decode

        decode.start_decoding()

    def stop_decoding(self) -> None:
        """End whatever is being decoded, because the app is quit."""
        from assistant.pictures import decode

        decode.stop_decoding()

    def open_clipboard(self, ask_terminal: AskTerminal | None = None) -> PictureFile:
        """Open the picture in the system's clipboard, or the terminal's."""
        from assistant.pictures.clipboard import open_clipboard

        return self._checked(open_clipboard(ask_terminal=ask_terminal))

    def open_bytes(self, data: bytes, name: str) -> PictureFile:
        """Open a picture from memory (a pipe, say)."""
        from assistant.pictures import decode

        return self._checked(decode.open_bytes(data, name=name))

    def cut(
        self,
        picture: Picture | PictureFile,
        data: bytes,
        box: Box,
        watch: Callable[[int, int], None] | None = None,
    ) -> PictureFile:
        """Cut a rectangle out of a picture with these original bytes, as one of its own."""
        from assistant.pictures import decode

        return self._checked(decode.cut(picture, data, box, watch=watch))

    def find_dropped(self, text: str, refused: Collection[str] = ()) -> Dropped:
        """Find the pictures that a pasted or typed text names, and the words beside them.

        Paths of the pictures that were ``refused`` are words.
        """
        from assistant.pictures.dropped import find_dropped

        return find_dropped(text, refused)

    def tokens(self, picture: Picture | PictureFile) -> int:
        """Count the positions that a picture takes in a prompt."""
        return self.layout(picture).tokens

    def layout(self, picture: Picture | PictureFile) -> PictureLayout:
        """Lay a picture out for the model. Raises ValueError for one too thin to be seen."""
        return self._model.layout.counter.layout(picture)

    @property
    def form(self) -> PictureFormat:
        """The details of pictures that the model offers. Raises ModelError without a model."""
        return self._model.layout.counter.pictures

    def _checked(self, file: PictureFile) -> PictureFile:
        try:
            self.tokens(file)
        except ValueError:
            raise PictureError(
                f"{file.name} is {file.width} x {file.height} pixels, too thin for the model to "
                "see: crop it first."
            ) from None
        return file
