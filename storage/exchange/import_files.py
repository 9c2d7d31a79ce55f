"""Import of files: a JSON export, or the logs database of ``llm``. All of a file or nothing."""

from __future__ import annotations

from pathlib import Path

from assistant.values.conversation import Imported
from assistant.values.errors import PictureError, StorageError
from storage.pictures import OpenPicture
from storage.transactions import Transactions

_SQLITE_FILE = b"SQLite format 3\0"

# pydantic checks what is imported, and no other part of a store needs it: it is imported on use.


def import_file(
    store: Transactions, path: Path, open_picture: OpenPicture, *, copy: bool = False
) -> Imported:
    """Import a JSON export or a logs database of ``llm``, all of it or nothing.

    Sessions that are stored already and the same are left alone; with ``copy``, sessions of an
    export that are stored already are imported once more, under new ids. Raises StorageError, one
    sentence, for a file that can't be used.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(len(_SQLITE_FILE))
            if beginning != _SQLITE_FILE:
                data = beginning + file.read()
                return import_json(store, data, path.name, open_picture, copy=copy)
    except OSError as error:
        raise StorageError(
            f"{path} can't be read ({error.strerror}); check its path and permissions.",
            code="import",
        ) from error
    from storage.exchange import import_sessions, llm_logs

    logs = llm_logs.read(path, open_picture)
    with store.writing() as db:
        import_sessions.lock_all(db)
        return import_sessions.extend_all(db, logs.sessions, logs.pictures, logs.left_out)


def import_json(
    store: Transactions, data: bytes, name: str, open_picture: OpenPicture, *, copy: bool = False
) -> Imported:
    """Import the content of a JSON export called ``name``; see :func:`import_file`."""
    from storage.exchange import document, import_sessions

    read = document.parse(data, name)
    shown = {sha256 for session in read.sessions for sha256 in session.sha256s}
    # Before the transaction, because decoding takes its time. The file's own figures of the pixels
    # are not used: pictures with the same pixels share their features.
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
    with store.writing() as db:
        import_sessions.lock_all(db)
        return Imported(
            tuple(import_sessions.store(db, one, pictures, copy=copy) for one in read.sessions)
        )
