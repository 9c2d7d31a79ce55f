"""Import: write validated sessions into the database.

Every function runs inside the caller's write transaction: all of a file is imported, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from assistant.values.conversation import Arrival, Imported, Outcome, PictureFile
from assistant.values.errors import StorageError
from assistant.values.text import one_line
from storage import locks
from storage.exchange import export_json
from storage.exchange.document import DraftPart, SessionPart, SessionPicturePart, TurnPart
from storage.ids import SESSION_LENGTH, TURN_LENGTH, new_id
from storage.pictures import next_number, stored
from storage.rows import head_of
from storage.schema import (
    DraftPictureRow,
    DraftRow,
    SessionPictureRow,
    SessionRow,
    TurnPictureRow,
    TurnRow,
)

Pictures = Mapping[str, PictureFile]
"""Opened pictures by their sha256."""


def store(db: Session, session: SessionPart, pictures: Pictures, *, copy: bool) -> Arrival:
    """Store a session under its own ids; with ``copy`` one that differs here under new ids.

    One that is here already and is the same is left alone. Raises StorageError for one that
    differs, without ``copy``.
    """
    here = db.scalar(select(SessionRow).where(SessionRow.id == session.id))
    if here is None and not _taken(db, (turn.id for turn in session.turns)):
        return _store(db, session, pictures, Outcome.NEW)
    if here and here.deleted is None and export_json.session_part(db, here) == session:
        return Arrival(session.id, session.title, Outcome.UNCHANGED)
    if copy:
        return _store(db, _with_new_ids(db, session), pictures, Outcome.COPY)
    title = one_line(session.title, 60)
    if here is None:
        raise StorageError(
            f"Turns of the chat {session.id} (“{title}”) are here already in another chat, so "
            "nothing was imported; import it as a copy with --copy.",
            code="import",
        )
    if here.deleted is not None:
        raise StorageError(
            f"The chat {session.id} (“{title}”) was deleted here and can still be restored, so "
            "nothing was imported; restore it, or import it as a copy with --copy.",
            code="import",
        )
    raise StorageError(
        f"The chat {session.id} (“{title}”) is here already and differs from the file, so nothing "
        "was imported; import it as a copy with --copy.",
        code="import",
    )


def lock_all(db: Session) -> None:
    """Let no other transaction write to any of the sessions, of which an import may need many."""
    if locks.is_needed(db):
        db.execute(locks.held(db, select(SessionRow.key).order_by(SessionRow.key)))


def extend_all(
    db: Session, sessions: Sequence[SessionPart], pictures: Pictures, left_out: tuple[str, ...]
) -> Imported:
    """Store sessions; those that were imported before (by their ids) only get their new turns."""
    arrivals: list[Arrival] = []
    deleted = 0
    for session in sessions:
        here = db.scalar(select(SessionRow).where(SessionRow.id == session.id))
        if here is None:
            arrivals.append(_store(db, session, pictures, Outcome.NEW))
        elif here.deleted is not None:
            deleted += 1
        else:
            arrivals.append(_extend(db, here, session, pictures))
    if deleted:
        left_out += (f"Left out: chats that were deleted here ({deleted}).",)
    return Imported(tuple(arrivals), left_out)


def _taken(db: Session, turn_ids: Iterable[str]) -> bool:
    return any(
        db.scalar(select(TurnRow.key).where(TurnRow.id.in_(some)).limit(1)) is not None
        for some in _some_at_a_time(turn_ids)
    )


def _with_new_ids(db: Session, session: SessionPart) -> SessionPart:
    new = {turn.id: new_id(TURN_LENGTH) for turn in session.turns}
    summary = session.summary
    copied = session.model_copy(
        update={
            "id": new_id(SESSION_LENGTH),
            "head": session.head and new[session.head],
            "summary": summary and summary.model_copy(update={"upto": new[summary.upto]}),
            "turns": tuple(
                turn.model_copy(
                    update={"id": new[turn.id], "parent": turn.parent and new[turn.parent]}
                )
                for turn in session.turns
            ),
        }
    )
    there = db.scalar(select(SessionRow.key).where(SessionRow.id == copied.id)) is not None
    if there or len(set(new.values())) < len(new) or _taken(db, new.values()):
        return _with_new_ids(db, session)  # once in a lifetime
    return copied


def _store(db: Session, session: SessionPart, pictures: Pictures, outcome: Outcome) -> Arrival:
    row = SessionRow(**session.columns(SessionRow))
    db.add(row)
    db.flush()
    for picture in session.pictures:
        _show(db, row, picture, pictures)
    db.flush()
    keys = _add_turns(db, row, session.turns)
    row.head_key = None if session.head is None else keys[session.head]
    if session.draft is not None:
        _draft(db, row, session.draft, pictures)
    db.flush()
    return Arrival(session.id, session.title, outcome)


def _show(db: Session, row: SessionRow, picture: SessionPicturePart, pictures: Pictures) -> None:
    db.add(
        SessionPictureRow(
            session_key=row.key,
            picture_key=stored(db, pictures[picture.sha256]),
            **picture.columns(SessionPictureRow),
        )
    )


def _draft(db: Session, row: SessionRow, draft: DraftPart, pictures: Pictures) -> None:
    made = DraftRow(session_key=row.key, **draft.columns(DraftRow))
    db.add(made)
    db.flush()
    for position, picture in enumerate(draft.pictures):
        db.add(
            DraftPictureRow(
                draft_key=made.key,
                position=position,
                picture_key=stored(db, pictures[picture.sha256]),
                **picture.columns(DraftPictureRow),
            )
        )


def _extend(db: Session, row: SessionRow, session: SessionPart, pictures: Pictures) -> Arrival:
    """Add to a stored session the turns that it does not have; what is stored stays as it is.

    Their pictures get the next numbers. The current branch is extended to the new end if that
    follows the present end.
    """
    have = set(db.scalars(select(TurnRow.id).where(TurnRow.session_key == row.key)))
    new = [turn for turn in session.turns if turn.id not in have]
    if not new:
        return Arrival(row.id, row.title, Outcome.UNCHANGED)
    by_number = {picture.number: picture for picture in session.pictures}
    theirs = sorted({number for turn in new for number in turn.pictures})
    numbers = dict(zip(theirs, count(next_number(db, row)), strict=False))
    for number, here in numbers.items():
        picture = by_number[number]
        _show(db, row, picture.model_copy(update={"number": here}), pictures)
    renumbered = [
        turn.model_copy(update={"pictures": tuple(numbers[n] for n in turn.pictures)})
        for turn in new
    ]
    keys = _add_turns(db, row, renumbered)
    last = head_of(db, row)
    head = None if last is None else last.id
    end = session.head
    if end is not None and end not in have and (head is None or head in _ancestors(session, end)):
        row.head_key = keys[end]
    row.updated = max(row.updated, session.updated)
    db.flush()
    return Arrival(row.id, row.title, Outcome.EXTENDED)


def _ancestors(session: SessionPart, turn_id: str) -> set[str]:
    parents = {turn.id: turn.parent for turn in session.turns}
    above: set[str] = set()
    while (parent := parents[turn_id]) is not None:
        above.add(parent)
        turn_id = parent
    return above


def _add_turns(db: Session, session: SessionRow, turns: Sequence[TurnPart]) -> dict[str, int]:
    """Store turns of a session, in their order; returns the keys of all its turns by id.

    Their parents are among them or stored already; their pictures have their numbers.
    """
    if not turns:
        return {}
    of_session = TurnRow.session_key == session.key
    depths = dict(db.execute(select(TurnRow.id, TurnRow.depth).where(of_session)).all())
    for turn in turns:
        depths[turn.id] = 1 if turn.parent is None else depths[turn.parent] + 1
    # 1) all rows in one statement, which gives them their keys in this order
    rows = [
        {"session_key": session.key, "depth": depths[turn.id], **turn.columns(TurnRow)}
        for turn in turns
    ]
    db.execute(insert(TurnRow), rows)
    # 2) their parents
    keys = dict(db.execute(select(TurnRow.id, TurnRow.key).where(of_session)).all())
    follows = [
        {"key": keys[turn.id], "parent_key": keys[turn.parent]}
        for turn in turns
        if turn.parent is not None
    ]
    if follows:
        db.execute(update(TurnRow), follows)
    # 3) their pictures
    shown = [
        {
            "turn_key": keys[turn.id],
            "position": position,
            "session_key": session.key,
            "number": number,
        }
        for turn in turns
        for position, number in enumerate(turn.pictures)
    ]
    if shown:
        db.execute(insert(TurnPictureRow), shown)
    return keys


def _some_at_a_time(ids: Iterable[str]) -> Iterator[list[str]]:
    """Split ids into lists: databases limit the number of values in one statement."""
    rest = iter(ids)
    while some := list(islice(rest, 500)):
        yield some
