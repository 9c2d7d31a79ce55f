"""Export of sessions: as pieces of text, to a file, or to one file each in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.values.conversation import Conversation, ExportFormat, Picture, Turn
from assistant.values.errors import StorageError
from storage import pictures, turns
from storage.exchange import export_markdown
from storage.exchange.files import free_name, in_folder, replacing
from storage.rows import session_row
from storage.schema import SessionRow
from storage.transactions import Transactions

# JSON needs pydantic and HTML markdown-it, which no other part of a store does: they are imported
# on use.


def export(
    store: Transactions,
    session_ids: Sequence[str] | None = None,
    format: ExportFormat = ExportFormat.JSON,
    *,
    branches: bool = False,
    leave_out: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """Write sessions (None: all of them) as pieces of text, from one view of the database.

    JSON loses nothing. Markdown and HTML are for readers and show the current branch, with
    ``branches`` the others too. Markdown only names its pictures: :func:`export_to` writes them
    beside it. A damaged session that JSON can't hold is left out, with a sentence to
    ``leave_out``; without that, and for a session that does not exist, raises StorageError.
    """
    with store.reading() as db:
        ids = _all(db) if session_ids is None else session_ids
        if format is ExportFormat.JSON:
            from storage.exchange import export_json

            yield from export_json.write(db, ids, leave_out)
            return
        for session_id in ids:
            conversation, others = _to_show(db, session_id, branches)
            if format is ExportFormat.MARKDOWN:
                yield from export_markdown.write(conversation, others, lambda _: None)
            else:
                from storage.exchange import export_html

                yield from export_html.write(conversation, others, partial(_for_browsers, db))


_NOT_IN_BROWSERS = frozenset({"image/heic", "image/tiff"})
"""Types of pictures that few browsers show."""


def _for_browsers(db: Session, picture: Picture) -> tuple[bytes, str]:
    """Return a picture's bytes; its small copy where browsers don't show the original."""
    if picture.media_type in _NOT_IN_BROWSERS:
        small = pictures.thumbnail(db, picture.sha256)
        if small is not None:
            return small, "image/jpeg"
    return pictures.data(db, picture.sha256), picture.media_type


def export_to(
    store: Transactions,
    path: Path,
    session_ids: Sequence[str] | None = None,
    format: ExportFormat = ExportFormat.JSON,
    *,
    branches: bool = False,
    overwrite: bool = False,
    leave_out: Callable[[str], None] | None = None,
) -> list[Path]:
    """Write sessions to a file, or one file each into a folder; returns the files.

    Only JSON takes more than one session into a file. Each file appears whole or not at all;
    existing ones are replaced only with ``overwrite``. ``leave_out`` as in :func:`export`. Raises
    StorageError, and SessionNotFoundError.
    """
    with store.reading() as db:
        ids = _all(db) if session_ids is None else session_ids
        if not os.path.isdir(path):
            if format is not ExportFormat.JSON and len(ids) != 1:
                raise StorageError(
                    f"{path} is not a folder, and one {format.value} file holds one chat; "
                    "make the folder first, or use JSON.",
                    code="export",
                )
            targets = [(path, ids)]
        else:
            targets = []
            for session_id in ids:
                title = session_row(db, session_id).title
                targets.append(
                    (in_folder(path, title, session_id, f".{format.value}"), [session_id])
                )
    for target, of_target in targets:
        if format is ExportFormat.MARKDOWN:
            with store.reading() as db:
                conversation, others = _to_show(db, of_target[0], branches)
                data = partial(pictures.data, db)
                export_markdown.write_file(target, conversation, others, data, overwrite=overwrite)
        else:
            with (
                replacing(target, overwrite=overwrite) as unfinished,
                unfinished.open("w", encoding="utf-8", newline="\n") as file,
            ):
                pieces = export(store, of_target, format, branches=branches, leave_out=leave_out)
                file.writelines(pieces)
    return [target for target, _ in targets]


def export_as(store: Transactions, name: str, session_id: str) -> Path:
    """Write a session to the file of this name, whose suffix is the format; returns the file.

    Without a name it is a page in this folder, called after the session's title. Raises
    StorageError, and SessionNotFoundError.
    """
    path = Path(os.path.expanduser(name.strip("'\""))).absolute()
    kind = path.suffix.lower().removeprefix(".") if name else ExportFormat.HTML
    if not name:
        with store.reading() as db:
            title = session_row(db, session_id).title
        path = free_name(in_folder(path, title, session_id, f".{kind}"))
    elif kind not in list(ExportFormat):
        raise StorageError(
            "Give a file that ends with .html, .md or .json: /export talk.html", code="export"
        )
    elif os.path.lexists(path):
        raise StorageError(f"{path} exists already: give another name.", code="export")
    return export_to(store, path, [session_id], ExportFormat(kind))[0]


def _all(db: Session) -> list[str]:
    kept = select(SessionRow.id).where(SessionRow.deleted.is_(None))
    return list(db.scalars(kept.order_by(SessionRow.created, SessionRow.id)))


def _to_show(db: Session, session_id: str, branches: bool) -> tuple[Conversation, tuple[Turn, ...]]:
    conversation = turns.conversation(db, session_id)
    return conversation, turns.all_turns(db, session_id) if branches else ()
