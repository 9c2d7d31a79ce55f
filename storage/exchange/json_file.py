"""The JSON format, which loses nothing: written piece by piece, in an order of its own.

The same conversations give the same bytes, whenever and from whichever
database they are written: sessions by the moment they were begun, turns as they
were stored, pictures by their hash. One turn and one picture stand on one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.values.conversation import Turn
from assistant.values.sampling import Parameters
from storage import reading
from storage.exchange.document import (
    VERSION,
    DraftPart,
    DraftPicturePart,
    ParametersPart,
    PicturePart,
    SessionPart,
    SessionPicturePart,
    SummaryPart,
    TimingsPart,
    TurnPart,
    UsagePart,
)
from storage.tables import (
    DraftPictureRow,
    DraftRow,
    PictureRow,
    SessionPictureRow,
    SessionRow,
)


def write(db: Session, session_ids: Sequence[str]) -> Iterator[str]:
    """The file with these sessions, in pieces. Raises SessionNotFoundError before the first."""
    rows = {row.id: row for row in (reading.session_row(db, one) for one in session_ids)}
    in_order = sorted(rows.values(), key=lambda row: (row.created, row.id))
    shown: set[str] = set()
    yield f'{{"phichat": {VERSION},\n"sessions": ['
    for index, row in enumerate(in_order):
        session = session_part(db, row)
        shown |= session.sha256s
        yield ",\n" if index else "\n"
        yield session.model_dump_json(exclude={"turns"}).removesuffix("}") + ',\n"turns": ['
        yield ",".join(f"\n{turn.model_dump_json()}" for turn in session.turns)
        yield "\n]}"
    yield '\n],\n"pictures": ['
    for index, sha256 in enumerate(sorted(shown)):
        yield ",\n" if index else "\n"
        yield _picture(db, sha256).model_dump_json()
    yield "\n]}\n"


def session_part(db: Session, row: SessionRow) -> SessionPart:
    """All that is stored of a session, but for the bytes of its pictures."""
    conversation = reading.conversation(db, row.id, None)
    summary = conversation.summary
    return SessionPart(
        id=row.id,
        title=row.title,
        created=row.created,
        updated=row.updated,
        model=row.model,
        system=row.system,
        pinned=row.pinned,
        parameters=_parameters(conversation.parameters),
        summary=None if summary is None else SummaryPart(**asdict(summary)),
        draft=_draft(db, row),
        head=conversation.turns[-1].id if conversation.turns else None,
        pictures=_numbered(db, row),
        turns=tuple(_turn(turn) for turn in reading.all_turns(db, row.id)),
    )


def _turn(turn: Turn) -> TurnPart:
    return TurnPart(
        id=turn.id,
        parent=turn.parent,
        role=turn.role,
        kind=turn.kind,
        text=turn.text,
        created=turn.created,
        pinned=turn.pinned,
        excluded=turn.excluded,
        pictures=tuple(picture.number for picture in turn.pictures),
        token_ids=turn.token_ids,
        finish_reason=turn.finish_reason,
        model=turn.model,
        usage=None if turn.usage is None else UsagePart(**asdict(turn.usage)),
        timings=None if turn.timings is None else TimingsPart(**asdict(turn.timings)),
        parameters=None if turn.parameters is None else _parameters(turn.parameters),
    )


def _parameters(parameters: Parameters) -> ParametersPart:
    return ParametersPart(**parameters.table())


def _numbered(db: Session, row: SessionRow) -> tuple[SessionPicturePart, ...]:
    found = db.execute(
        select(SessionPictureRow, PictureRow.sha256)
        .join(PictureRow, PictureRow.key == SessionPictureRow.picture_key)
        .where(SessionPictureRow.session_key == row.key)
        .order_by(SessionPictureRow.number)
    )
    return tuple(
        SessionPicturePart(
            number=one.number,
            name=one.name,
            sha256=sha256,
            num_crops=one.num_crops,
            pinned=one.pinned,
        )
        for one, sha256 in found
    )


def _draft(db: Session, row: SessionRow) -> DraftPart | None:
    draft = db.scalar(select(DraftRow).where(DraftRow.session_key == row.key))
    if draft is None:
        return None
    found = db.execute(
        select(DraftPictureRow.name, PictureRow.sha256, DraftPictureRow.num_crops)
        .join(PictureRow, PictureRow.key == DraftPictureRow.picture_key)
        .where(DraftPictureRow.draft_key == draft.key)
        .order_by(DraftPictureRow.position)
    )
    pictures = tuple(
        DraftPicturePart(name=name, sha256=sha256, num_crops=num_crops)
        for name, sha256, num_crops in found
    )
    return DraftPart(text=draft.text, updated=draft.updated, pictures=pictures)


def _picture(db: Session, sha256: str) -> PicturePart:
    row = db.scalars(select(PictureRow).where(PictureRow.sha256 == sha256)).one()
    part = PicturePart.model_construct(  # the bytes are what the hash was made of
        sha256=row.sha256,
        pixels_sha256=row.pixels_sha256,
        media_type=row.media_type,
        width=row.width,
        height=row.height,
        data=row.data,
    )
    db.expunge(row)  # its bytes are written now, and needn't be kept
    return part
