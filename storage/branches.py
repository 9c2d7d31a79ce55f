"""The tree of a session's turns: its end, its alternatives, and a copy of one branch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session, aliased

from assistant.values.conversation import FinishReason, Role, Turn
from storage import reading, writing
from storage.ids import SESSION_LENGTH, TURN_LENGTH, new_id, one_line
from storage.tables import SessionPictureRow, SessionRow, TurnPictureRow, TurnRow
from storage.types import utc_now

_TITLE_LENGTH = 200


def tail(db: Session, session_id: str, count: int, before: str | None) -> tuple[Turn, ...]:
    """The last ``count`` turns of the current branch, or those above the turn ``before``."""
    session = reading.session_row(db, session_id)
    above = None if before is None else reading.turn_row(db, before, session)
    last = session.head_key if above is None else above.parent_key
    if last is None or count < 1:
        return ()
    return reading.turns(db, session, reading.branch(last, count))


def siblings(db: Session, turn_id: str) -> tuple[Turn, ...]:
    """The turn and its alternatives, oldest first."""
    row = reading.turn_row(db, turn_id)
    session = db.get_one(SessionRow, row.session_key)
    beside = TurnRow.parent_key.is_not_distinct_from(row.parent_key)
    same = select(TurnRow.key).where(
        TurnRow.session_key == session.key, beside, TurnRow.role == row.role
    )
    return reading.turns(db, session, same)


def newest_leaf(db: Session, turn_id: str) -> str:
    """The turn stored last among those that follow a turn, or that turn itself."""
    row = reading.turn_row(db, turn_id)
    below = select(TurnRow.key).where(TurnRow.key == row.key).cte(recursive=True)
    child = aliased(TurnRow)
    below = below.union_all(
        select(child.key).where(
            child.session_key == row.session_key, child.parent_key == below.c.key
        )
    )
    # A child is always stored after its parent: the newest has no children.
    newest = select(func.max(below.c.key)).scalar_subquery()
    leaf = db.scalar(select(TurnRow.id).where(TurnRow.key == newest))
    assert leaf is not None
    return leaf


def fork(db: Session, session_id: str, turn_id: str | None) -> str:
    """Copy the current branch, or the one that ends with a turn, into a new session."""
    source = reading.session_row(db, session_id)
    last = source.head_key if turn_id is None else reading.turn_row(db, turn_id, source).key
    now = utc_now()
    session = SessionRow(
        id=writing.unused_id(db, SessionRow, SESSION_LENGTH),
        title=_fork_title(source.title),
        created=now,
        updated=now,
        model=source.model,
        system=source.system,
        parameters=source.parameters,
        pinned=False,
    )
    db.add(session)
    db.flush()
    if last is not None:
        new_ids = _copy_branch(db, source, session, last)
        if source.summary is not None and source.summary["upto"] in new_ids:
            session.summary = source.summary | {"upto": new_ids[source.summary["upto"]]}
    return session.id


def _copy_branch(db: Session, source: SessionRow, session: SessionRow, last: int) -> dict[str, str]:
    """Copy a turn and its ancestors with their pictures; returns the new ids by the old ones."""
    in_branch = TurnRow.key.in_(reading.branch(last))
    originals = db.scalars(select(TurnRow).where(in_branch).order_by(TurnRow.key)).all()
    copies = [_copied(db, row, session) for row in originals]
    # Asked for their keys one by one, thousands of rows would take minutes.
    db.execute(insert(TurnRow), copies)
    in_copy = select(TurnRow.key).where(TurnRow.session_key == session.key)
    keys = list(db.scalars(in_copy.order_by(TurnRow.key)))
    follows = [{"key": key, "parent_key": above} for above, key in pairwise(keys)]
    if follows:
        db.execute(update(TurnRow), follows)
    session.head_key = keys[-1]
    new_keys = {old.key: key for old, key in zip(originals, keys, strict=True)}
    shown = db.scalars(
        select(TurnPictureRow)
        .where(
            TurnPictureRow.session_key == source.key,
            TurnPictureRow.turn_key.in_(reading.branch(last)),
        )
        .order_by(TurnPictureRow.turn_key, TurnPictureRow.position)
    ).all()
    numbers = {row.number for row in shown}
    for picture in db.scalars(
        select(SessionPictureRow).where(SessionPictureRow.session_key == source.key)
    ).all():
        if picture.number in numbers:
            db.add(
                SessionPictureRow(
                    session_key=session.key,
                    number=picture.number,
                    picture_key=picture.picture_key,
                    name=picture.name,
                    num_crops=picture.num_crops,
                    pinned=picture.pinned,
                )
            )
    db.flush()
    for row in shown:
        db.add(
            TurnPictureRow(
                turn_key=new_keys[row.turn_key],
                position=row.position,
                session_key=session.key,
                number=row.number,
            )
        )
    db.flush()
    return {old.id: copy["id"] for old, copy in zip(originals, copies, strict=True)}


def _copied(db: Session, row: TurnRow, session: SessionRow) -> dict[str, Any]:
    own = ("key", "parent_key", "words")  # given to the copy when it is inserted
    columns = (c.key for c in TurnRow.__table__.columns if c.key not in own)
    copy = {name: getattr(row, name) for name in columns}
    copy |= {
        # Not looked up first, as there may be thousands: 60 random bits don't meet again.
        "id": new_id(TURN_LENGTH),
        "session_key": session.key,
        "writer": None,
    }
    if row.role == Role.ASSISTANT.value and row.finish_reason is None:
        # It is still being written, and goes on in the original only.
        copy["finish_reason"] = FinishReason.INTERRUPTED.value
    return copy


def _fork_title(title: str) -> str:
    suffix = " (fork)"
    return one_line(title.removesuffix(suffix), _TITLE_LENGTH - len(suffix)) + suffix
