"""The door's methods for taking conversations elsewhere, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.values.conversation import Conversation, ExportFormat, Imported, Turn
from assistant.values.errors import PictureError, StorageError
from storage import reading
from storage.access import Access
from storage.exchange import markdown
from storage.exchange.files import appearing, in_folder
from storage.tables import SessionRow

if TYPE_CHECKING:
    from storage.exchange.llm_logs import OpenPicture

_SQLITE_FILE = b"SQLite format 3\0"

# JSON brings pydantic along and HTML markdown-it, which no other part of a store needs: they are
# imported on use.


class ExchangeStore(Access):
    """Export, import, backup."""

    def export(
        self,
        session_ids: Sequence[str] | None = None,
        format: ExportFormat = ExportFormat.JSON,
        *,
        branches: bool = False,
    ) -> Iterator[str]:
        """Sessions (None: all of them) as pieces of text, one view of the database.

        JSON loses nothing; Markdown and HTML are for readers and show the current
        branch, with ``branches`` the others too. Markdown names its pictures
        only: :meth:`export_to` puts them beside it. Raises SessionNotFoundError.
        """
        with self._read() as db:
            ids = _all(db) if session_ids is None else session_ids
            if format is ExportFormat.JSON:
                from storage.exchange import json_file

                yield from json_file.write(db, ids)
                return
            for session_id in ids:
                conversation, others = _to_show(db, session_id, branches)
                if format is ExportFormat.MARKDOWN:
                    yield from markdown.write(conversation, others, lambda _: None)
                else:
                    from storage.exchange import page

                    data = partial(reading.picture_data, db)
                    yield from page.write(conversation, others, data)

    def export_to(
        self,
        path: Path,
        session_ids: Sequence[str] | None = None,
        format: ExportFormat = ExportFormat.JSON,
        *,
        branches: bool = False,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write sessions to a file, or one file each into a folder; returns the files.

        Only JSON takes more than one session into a file. Each file appears
        whole or not at all; existing ones are replaced only with ``overwrite``.
        Raises StorageError, and SessionNotFoundError.
        """
        with self._read() as db:
            ids = _all(db) if session_ids is None else session_ids
            if not path.is_dir():
                if format is not ExportFormat.JSON and len(ids) != 1:
                    raise StorageError(
                        f"{path} is not a folder, and one {format.value} file holds one session; "
                        "make the folder first, or use JSON.",
                        code="export",
                    )
                targets = [(path, ids)]
            else:
                targets = []
                for session_id in ids:
                    title = reading.session_row(db, session_id).title
                    suffix = f".{format.value}"
                    targets.append((in_folder(path, title, session_id, suffix), [session_id]))
        for target, of_target in targets:
            if format is ExportFormat.MARKDOWN:
                with self._read() as db:
                    conversation, others = _to_show(db, of_target[0], branches)
                    data = partial(reading.picture_data, db)
                    markdown.write_file(target, conversation, others, data, overwrite=overwrite)
            else:
                with (
                    appearing(target, overwrite=overwrite) as unfinished,
                    unfinished.open("w", encoding="utf-8", newline="\n") as file,
                ):
                    file.writelines(self.export(of_target, format, branches=branches))
        return [target for target, _ in targets]

    def import_file(self, path: Path, open_picture: OpenPicture, *, copy: bool = False) -> Imported:
        """Import a JSON export or a logs database of ``llm``, all of it or nothing.

        What is here already and the same is left alone; with ``copy``, sessions
        of an export that are here already come in once more, under new ids.
        Raises StorageError, one sentence, for a file that can't be used.
        """
        try:
            with path.open("rb") as file:
                beginning = file.read(len(_SQLITE_FILE))
                if beginning != _SQLITE_FILE:
                    return self.import_json(
                        beginning + file.read(), path.name, open_picture, copy=copy
                    )
        except OSError as error:
            raise StorageError(
                f"{path} can't be read ({error.strerror}); check its path and permissions.",
                code="import",
            ) from error
        return self._import_llm(path, open_picture)

    def import_json(
        self, data: bytes, name: str, open_picture: OpenPicture, *, copy: bool = False
    ) -> Imported:
        """Import the content of a JSON export called ``name``; see :meth:`import_file`."""
        from storage.exchange import arriving, document

        read = document.parse(data, name)
        shown = {sha256 for session in read.sessions for sha256 in session.sha256s}
        # Before the transaction, because decoding takes its time. What the file says about the
        # pixels is not believed: pictures with the same pixels share what the model made of them.
        pictures = {}
        for picture in read.pictures:
            if picture.sha256 in shown:
                try:
                    pictures[picture.sha256] = open_picture(picture.data)
                except PictureError as error:
                    raise StorageError(
                        f"A picture in {name} can't be opened, so nothing was imported: {error}",
                        code="import",
                    ) from error
        with self._write() as db:
            return Imported(
                tuple(arriving.arrive(db, one, pictures, copy=copy) for one in read.sessions)
            )

    def _import_llm(self, path: Path, open_picture: OpenPicture) -> Imported:
        from storage.exchange import arriving, llm_logs

        logs = llm_logs.read(path, open_picture)
        with self._write() as db:
            return arriving.arrive_again(db, logs.sessions, logs.pictures, logs.left_out)

    def backup(self, path: Path, *, overwrite: bool = False) -> None:
        """Copy the live database to a file; see :func:`storage.exchange.backup.write`."""
        from storage.exchange import backup

        with self._reader:
            backup.write(self._engine, path, overwrite=overwrite)


def _all(db: Session) -> list[str]:
    kept = select(SessionRow.id).where(SessionRow.deleted.is_(None))
    return list(db.scalars(kept.order_by(SessionRow.created, SessionRow.id)))


def _to_show(db: Session, session_id: str, branches: bool) -> tuple[Conversation, tuple[Turn, ...]]:
    conversation = reading.conversation(db, session_id, None)
    return conversation, reading.all_turns(db, session_id) if branches else ()
