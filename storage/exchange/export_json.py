"""Export to JSON, which loses nothing, written in pieces.

The same conversations give the same bytes from every database: sessions in the order of their
beginnings, turns in the order in which they were stored, pictures by their hash. Each turn and each
picture is one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.values.sampling import Parameters
from assistant.values.text import plain_json
from storage import turns
from storage.exchange.document import (
    VERSION,
    DraftPart,
    DraftPicturePart,
    PicturePart,
    SessionPart,
    SessionPicturePart,
    TurnPart,
)
from storage.rows import session_row
from storage.schema import (
    DraftPictureRow,
    DraftRow,
    PictureRow,
    SessionPictureRow,
    SessionRow,
    TurnRow,
)


def write(db: Session, session_ids: Sequence[str]) -> Iterator[str]:
    """Write the file in pieces. Raises SessionNotFoundError before the first piece."""
    rows = {row.id: row for row in (session_row(db, one) for one in session_ids)}
    in_order = sorted(rows.values(), key=lambda row: (row.created, row.id))
    shown: set[str] = set()
    yield f'{{"phichat": {VERSION},\n"sessions": ['
    for index, row in enumerate(in_order):
        session = session_part(db, row)
        shown |= session.sha256s
        yield ",\n" if index else "\n"
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
    """Make the part of a session: all that is stored of it, but for the bytes of its pictures."""
    return SessionPart.of(
        row,
        parameters=row.parameters or Parameters(),
        draft=_draft(db, row),
        head=None if row.head_key is None else db.get_one(TurnRow, row.head_key).id,
        pictures=_numbered(db, row),
        turns=tuple(
            TurnPart.of(turn, pictures=tuple(picture.number for picture in turn.pictures))
            for turn in turns.all_turns(db, row.id)
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
