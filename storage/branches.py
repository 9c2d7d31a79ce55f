"""Branches of a session's tree of turns: ends, alternatives, and the copy of one branch."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session, aliased, undefer

from assistant.values.conversation import Conversation, FinishReason, Role, Turn
from storage import turns
from storage.column_types import utc_now
from storage.ids import SESSION_LENGTH, TURN_LENGTH, new_id, title_of
from storage.rows import copied, head_of, session_of, session_row, turn_row, unused_id
from storage.schema import SessionPictureRow, SessionRow, TurnPictureRow, TurnRow

_TITLE_LENGTH = 200


def tail(db: Session, session_id: str, count: int) -> tuple[Turn, ...]:
    """Read the last ``count`` turns of a session's current branch, oldest first.

    Takes as long for a session of 100,000 turns as for a short one.
    """
    session = session_row(db, session_id)
    head = head_of(db, session)
    if head is None or count < 1:
        return ()
    return turns.of_keys(db, session, turns.branch(head.key, count))


def siblings(db: Session, turn_id: str) -> tuple[Turn, ...]:
    """Read the alternatives of a reply or of a message, itself among them, oldest first."""
    row = turn_row(db, turn_id)
    session = session_of(db, row)
    beside = TurnRow.parent_key.is_not_distinct_from(row.parent_key)
    same = select(TurnRow.key).where(
        TurnRow.session_key == session.key, beside, TurnRow.role == row.role
    )
    return turns.of_keys(db, session, same)


def newest_leaf(db: Session, turn_id: str) -> str:
    """Return the id of the turn stored last among those that follow a turn, or its own id."""
    row = turn_row(db, turn_id)
    below = select(TurnRow.key).where(TurnRow.key == row.key).cte(recursive=True)
    child = aliased(TurnRow)
    below = below.union_all(
        select(child.key).where(
            child.session_key == row.session_key,
            child.parent_key == below.c.key,
            # a child is always stored after its parent, except in a damaged circle
            child.key > below.c.key,
        )
    )
    newest = select(func.max(below.c.key)).scalar_subquery()
    leaf = db.scalar(select(TurnRow.id).where(TurnRow.key == newest))
    assert leaf is not None
    return leaf


def set_head(db: Session, session_id: str, turn_id: str) -> None:
    """Make the branch that ends with ``turn_id`` the session's current branch."""
    session = session_row(db, session_id)
    session.head_key = turn_row(db, turn_id, session).key


def choose(db: Session, session_id: str, turn_id: str) -> Conversation:
    """Make the branch of ``turn_id`` current, up to the newest turn after it."""
    set_head(db, session_id, newest_leaf(db, turn_id))
    return turns.conversation(db, session_id)


def fork(db: Session, session_id: str, turn_id: str | None = None) -> str:
    """Copy the branch that ends with a turn (None: the current branch) into a new session.

    Returns the new session's id. Its turns have ids of their own; picture numbers, moments, model,
    system prompt, parameters and, where it still fits, the summary are the same. A reply that is
    still being written is interrupted in the copy.
    """
    source = session_row(db, session_id)
    last = head_of(db, source) if turn_id is None else turn_row(db, turn_id, source)
    now = utc_now()
    session = SessionRow(
        **copied(
            source,
            id=unused_id(db, SessionRow, SESSION_LENGTH),
            title=_fork_title(source.title),
            created=now,
            updated=now,
            pinned=False,
            head_key=None,
            summary=None,
        )
    )
    db.add(session)
    db.flush()
    if last is not None:
        new_ids = _copy_branch(db, source, session, last.key)
        if source.summary is not None and source.summary.upto in new_ids:
            session.summary = replace(source.summary, upto=new_ids[source.summary.upto])
    return session.id


def _copy_branch(db: Session, source: SessionRow, session: SessionRow, last: int) -> dict[str, str]:
    """Copy a turn and its ancestors with their pictures; returns the new ids by the old ids."""
    # 1) the turns, in one statement: asked for their keys one by one, thousands would take minutes
    in_branch = turns.branch(last)
    originals = db.scalars(
        select(TurnRow)
        .where(TurnRow.key.in_(in_branch))
        .order_by(TurnRow.key)
        .options(undefer(TurnRow.chances))
    ).all()
    copies = [_copied_turn(row, session) for row in originals]
    before = db.scalar(select(func.max(TurnRow.key))) or 0
    db.execute(insert(TurnRow), copies)
    # 2) their parents, once they have keys
    in_copy = select(TurnRow.key).where(TurnRow.session_key == session.key, TurnRow.key > before)
    keys = list(db.scalars(in_copy.order_by(TurnRow.key)))
    follows = [{"key": key, "parent_key": above} for above, key in pairwise(keys)]
    if follows:
        db.execute(update(TurnRow), follows)
    session.head_key = keys[-1]
    new_keys = {old.key: key for old, key in zip(originals, keys, strict=True)}
    # 3) the pictures that these turns show, under the same numbers
    shown = db.scalars(
        select(TurnPictureRow)
        .where(TurnPictureRow.session_key == source.key, TurnPictureRow.turn_key.in_(in_branch))
        .order_by(TurnPictureRow.turn_key, TurnPictureRow.position)
    ).all()
    numbers = {row.number for row in shown}
    attached = select(SessionPictureRow).where(SessionPictureRow.session_key == source.key)
    for picture in db.scalars(attached).all():
        if picture.number in numbers:
            region = picture.region
            if region is not None and region.number not in numbers:
                region = replace(region, number=0)
            db.add(SessionPictureRow(**copied(picture, session_key=session.key, region=region)))
    db.flush()
    for row in shown:
        moved = copied(row, session_key=session.key, turn_key=new_keys[row.turn_key])
        db.add(TurnPictureRow(**moved))
    db.flush()
    return {old.id: copy["id"] for old, copy in zip(originals, copies, strict=True)}


def _copied_turn(row: TurnRow, session: SessionRow) -> dict[str, Any]:
    copy = copied(
        row,
        # Not looked up first, as there may be thousands: 60 random bits don't meet again.
        id=new_id(TURN_LENGTH),
        session_key=session.key,
        parent_key=None,
        writer=None,
    )
    if row.role is Role.ASSISTANT and row.finish_reason is None:
        # It is still being written, and continues in the original only.
        copy["finish_reason"] = FinishReason.INTERRUPTED
    return copy


def _fork_title(title: str) -> str:
    suffix = " (fork)"
    return title_of(title.removesuffix(suffix), _TITLE_LENGTH - len(suffix)) + suffix
