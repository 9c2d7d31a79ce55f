"""What comes from elsewhere into the database: checked parts become rows.

Every function runs inside one write transaction of the caller: all of a file
arrives, or nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from assistant.values.conversation import Arrival, Imported, Outcome, PictureFile
from assistant.values.errors import StorageError
from assistant.values.text import one_line
from storage.attaching import stored
from storage.exchange import json_file
from storage.exchange.document import (
    DraftPart,
    ParametersPart,
    SessionPart,
    SessionPicturePart,
    TurnPart,
)
from storage.ids import SESSION_LENGTH, TURN_LENGTH, new_id
from storage.tables import (
    DraftPictureRow,
    DraftRow,
    SessionPictureRow,
    SessionRow,
    TurnPictureRow,
    TurnRow,
)

Pictures = Mapping[str, PictureFile]
"""Opened pictures by their sha256."""


def arrive(db: Session, session: SessionPart, pictures: Pictures, *, copy: bool) -> Arrival:
    """Store a session under its own ids, or with ``copy`` under new ones if these are taken.

    Raises StorageError when it is here already and differs.
    """
    here = db.scalar(select(SessionRow).where(SessionRow.id == session.id))
    if here is None and not _taken(db, (turn.id for turn in session.turns)):
        return _store(db, session, pictures, Outcome.NEW)
    if copy:
        return _store(db, _with_new_ids(db, session), pictures, Outcome.COPY)
    title = one_line(session.title, 60)
    if here is None:
        raise StorageError(
            f"Turns of session {session.id} (“{title}”) are here already in another session, so "
            "nothing was imported; import it as a copy with --copy.",
            code="import",
        )
    if here.deleted is not None:
        raise StorageError(
            f"Session {session.id} (“{title}”) was deleted here and can still be restored, so "
            "nothing was imported; restore it, or import it as a copy with --copy.",
            code="import",
        )
    if json_file.session_part(db, here) == session:
        return Arrival(session.id, session.title, Outcome.UNCHANGED)
    raise StorageError(
        f"Session {session.id} (“{title}”) is here already and differs from the file, so nothing "
        "was imported; import it as a copy with --copy.",
        code="import",
    )


def arrive_again(
    db: Session, sessions: Sequence[SessionPart], pictures: Pictures, left_out: tuple[str, ...]
) -> Imported:
    """Store sessions whose ids tell which ones were imported before; those only get what is new."""
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
        left_out += (f"Left out: conversations that were deleted here ({deleted}).",)
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
    row = SessionRow(
        id=session.id,
        title=session.title,
        created=session.created,
        updated=session.updated,
        model=session.model,
        system=session.system,
        pinned=session.pinned,
        parameters=_given(session.parameters),
        summary=None if session.summary is None else session.summary.model_dump(),
    )
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
            number=picture.number,
            picture_key=stored(db, pictures[picture.sha256]),
            name=picture.name,
            num_crops=picture.num_crops,
            pinned=picture.pinned,
        )
    )


def _draft(db: Session, row: SessionRow, draft: DraftPart, pictures: Pictures) -> None:
    made = DraftRow(session_key=row.key, text=draft.text, updated=draft.updated)
    db.add(made)
    db.flush()
    for position, picture in enumerate(draft.pictures):
        db.add(
            DraftPictureRow(
                draft_key=made.key,
                position=position,
                picture_key=stored(db, pictures[picture.sha256]),
                name=picture.name,
                num_crops=picture.num_crops,
            )
        )


def _extend(db: Session, row: SessionRow, session: SessionPart, pictures: Pictures) -> Arrival:
    """Add those turns to a session that it does not have yet; what is here stays as it is.

    Their pictures get the next numbers. The current branch goes on to the new
    end where it ended before it.
    """
    have = set(db.scalars(select(TurnRow.id).where(TurnRow.session_key == row.key)))
    new = [turn for turn in session.turns if turn.id not in have]
    if not new:
        return Arrival(row.id, row.title, Outcome.UNCHANGED)
    of_session = SessionPictureRow.session_key == row.key
    next_number = 1 + (db.scalar(select(func.max(SessionPictureRow.number)).where(of_session)) or 0)
    by_number = {picture.number: picture for picture in session.pictures}
    numbers = {
        number: next_number + index
        for index, number in enumerate(sorted({n for turn in new for n in turn.pictures}))
    }
    for number, here in numbers.items():
        picture = by_number[number]
        _show(db, row, picture.model_copy(update={"number": here}), pictures)
    renumbered = [
        turn.model_copy(update={"pictures": tuple(numbers[n] for n in turn.pictures)})
        for turn in new
    ]
    keys = _add_turns(db, row, renumbered)
    head = None if row.head_key is None else db.get_one(TurnRow, row.head_key).id
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
    """Store turns of a session, in their order; the keys of all its turns by id.

    Their parents are among them or stored already; their pictures have their
    numbers.
    """
    if not turns:
        return {}
    of_session = TurnRow.session_key == session.key
    depths = dict(db.execute(select(TurnRow.id, TurnRow.depth).where(of_session)).all())
    for turn in turns:
        depths[turn.id] = 1 if turn.parent is None else depths[turn.parent] + 1
    # All rows in one go, which gives them their keys in this order; then who follows whom.
    db.execute(insert(TurnRow), [_values(session, turn, depths[turn.id]) for turn in turns])
    keys = dict(db.execute(select(TurnRow.id, TurnRow.key).where(of_session)).all())
    follows = [
        {"key": keys[turn.id], "parent_key": keys[turn.parent]}
        for turn in turns
        if turn.parent is not None
    ]
    if follows:
        db.execute(update(TurnRow), follows)
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


def _values(session: SessionRow, turn: TurnPart, depth: int) -> dict[str, object]:
    return {
        "id": turn.id,
        "session_key": session.key,
        "depth": depth,
        "role": turn.role.value,
        "kind": turn.kind.value,
        "text": turn.text,
        "created": turn.created,
        "pinned": turn.pinned,
        "excluded": turn.excluded,
        "token_ids": turn.token_ids,
        "finish_reason": turn.finish_reason and turn.finish_reason.value,
        "model": turn.model,
        "usage": turn.usage and turn.usage.model_dump(),
        "timings": turn.timings and turn.timings.model_dump(),
        "parameters": turn.parameters and _given(turn.parameters),
    }


def _given(parameters: ParametersPart) -> dict[str, object]:
    return parameters.model_dump(exclude_none=True)


def _some_at_a_time(ids: Iterable[str]) -> Iterator[list[str]]:
    """Databases limit how many values one statement may have."""
    rest = iter(ids)
    while some := list(islice(rest, 500)):
        yield some
