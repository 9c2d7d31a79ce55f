"""Export to JSON, which loses nothing, written in pieces.

The same conversations give the same bytes from every database: sessions in the order of their
beginnings, turns in the order in which they were stored, pictures by their hash. Each turn and each
picture is one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from assistant.values.errors import StorageError
from assistant.values.sampling import Parameters
from assistant.values.text import one_line, plain_json
from storage import turns
from storage.database_errors import is_damage
from storage.exchange.document import (
    VERSION,
    DraftPart,
    DraftPicturePart,
    PicturePart,
    SessionPart,
    SessionPicturePart,
    SummaryPart,
    TurnPart,
)
from storage.rows import head_of, session_row
from storage.schema import (
    DraftPictureRow,
    DraftRow,
    PictureRow,
    SessionPictureRow,
    SessionRow,
    TurnRow,
)


def write(
    db: Session, session_ids: Sequence[str], leave_out: Callable[[str], None] | None = None
) -> Iterator[str]:
    """Write the file in pieces. Raises SessionNotFoundError before the first piece.

    A session that damage has made unfit for the format is left out, with a sentence to
    ``leave_out``; without that, raises StorageError.
    """
    rows = {row.id: row for row in (session_row(db, one) for one in session_ids)}
    in_order = sorted(rows.values(), key=lambda row: (row.created, row.id))
    shown: set[str] = set()
    yield f'{{"phichat": {VERSION},\n"sessions": ['
    separator = "\n"
    for row in in_order:
        try:
            session = session_part(db, row)
        except StorageError as error:
            if leave_out is None:
                raise
            leave_out(str(error))
            continue
        shown |= session.sha256s
        yield separator
        separator = ",\n"
        yield (
            plain_json(session.model_dump_json(exclude={"turns"}).removesuffix("}"))
            + ',\n"turns": ['
        )
        yield plain_json(",".join(f"\n{turn.model_dump_json()}" for turn in session.turns))
        yield "\n]}"
    yield '\n],\n"pictures": ['
    for index, sha256 in enumerate(sorted(shown)):
        yield ",\n" if index else "\n"
        yield plain_json(_picture(db, sha256).model_dump_json())
    yield "\n]}\n"


def session_part(db: Session, row: SessionRow) -> SessionPart:
    """Make the part of a session: all that is stored of it, but for the bytes of its pictures.

    Raises StorageError for a session that damage has made unfit for the format.
    """
    try:
        return _session_part(db, row)
    except (ValidationError, DBAPIError) as error:
        if isinstance(error, DBAPIError) and not is_damage(error):
            raise
        raise StorageError(
            f"The chat {one_line(row.id)} is damaged and can't be written as JSON; "
            "write it with --format md, and the others with --all.",
            code="export",
        ) from error


def _session_part(db: Session, row: SessionRow) -> SessionPart:
    every = turns.all_turns(db, row.id)
    kept = select(TurnRow.id, TurnRow.chances).where(
        TurnRow.session_key == row.key, TurnRow.chances.is_not(None)
    )
    chances = dict(db.execute(kept).all())
    summary = row.summary if row.summary and row.summary.upto in {one.id for one in every} else None
    return SessionPart.of(
        row,
        parameters=row.parameters or Parameters(),
        summary=None if summary is None else SummaryPart.of(summary),
        draft=_draft(db, row),
        head=None if (head := head_of(db, row)) is None else head.id,
        pictures=_numbered(db, row),
        turns=tuple(
            TurnPart.of(
                turn,
                pictures=tuple(picture.number for picture in turn.pictures),
                chances=chances.get(turn.id),
            )
            for turn in every
        ),
    )


def _numbered(db: Session, row: SessionRow) -> tuple[SessionPicturePart, ...]:
    found = db.execute(
        select(SessionPictureRow, PictureRow.sha256)
        .join(PictureRow, PictureRow.key == SessionPictureRow.picture_key)
        .where(SessionPictureRow.session_key == row.key)
        .order_by(SessionPictureRow.number)
    )
    return tuple(SessionPicturePart.of(one, sha256=sha256) for one, sha256 in found)


def _draft(db: Session, row: SessionRow) -> DraftPart | None:
    draft = db.scalar(select(DraftRow).where(DraftRow.session_key == row.key))
    if draft is None:
        return None
    found = db.execute(
        select(DraftPictureRow, PictureRow.sha256)
        .join(PictureRow, PictureRow.key == DraftPictureRow.picture_key)
        .where(DraftPictureRow.draft_key == draft.key)
        .order_by(DraftPictureRow.position)
    )
    pictures = tuple(DraftPicturePart.of(one, sha256=sha256) for one, sha256 in found)
    return DraftPart.of(draft, pictures=pictures)


def _picture(db: Session, sha256: str) -> PicturePart:
    row = db.scalars(select(PictureRow).where(PictureRow.sha256 == sha256)).one()
    # not validated: the hash was made of these bytes
    stored = {name: getattr(row, name) for name in PicturePart.model_fields}
    part = PicturePart.model_construct(**stored)
    db.expunge(row)  # its bytes are written now and need not be kept
    return part
