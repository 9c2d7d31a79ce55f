"""Turns: read as values, and added to the tree. Nothing that was said is ever overwritten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import Select, literal, select
from sqlalchemy.orm import Session, aliased

from assistant.values.conversation import (
    Conversation,
    Draft,
    FinishReason,
    Parent,
    Picture,
    PictureFile,
    Role,
    Turn,
    TurnKind,
)
from assistant.values.sampling import Parameters
from storage import drafts, leases, pictures
from storage.column_types import utc_now
from storage.ids import SESSION_LENGTH, TURN_LENGTH, storable, title_of
from storage.rows import (
    columns,
    common,
    head_of,
    session_of,
    session_row,
    turn_row,
    unused_id,
    values,
)
from storage.schema import PictureRow, SessionPictureRow, SessionRow, TurnPictureRow, TurnRow


def conversation(db: Session, session_id: str, *, head: str | None = None) -> Conversation:
    """Read a session's current branch, or the branch that ends with the turn ``head``."""
    row = session_row(db, session_id)
    last = head_of(db, row) if head is None else turn_row(db, head, row)
    stored = values(row, Conversation)
    return Conversation(
        **stored | {"parameters": row.parameters or Parameters()},
        turns=() if last is None else of_keys(db, row, branch(last.key)),
    )


def all_turns(db: Session, session_id: str) -> tuple[Turn, ...]:
    """Read every turn of every branch, in the order in which they were stored.

    A turn whose parent is lost in a damaged database begins a branch.
    """
    row = session_row(db, session_id)
    found = of_keys(db, row, select(TurnRow.key).where(TurnRow.session_key == row.key))
    before: set[str | None] = {None}
    whole = []
    for one in found:
        whole.append(one if one.parent in before else replace(one, parent=None))
        before.add(one.id)
    return tuple(whole)


def turn(db: Session, turn_id: str) -> Turn:
    """Read a turn of any session."""
    return of_row(db, turn_row(db, turn_id))


def of_row(db: Session, row: TurnRow) -> Turn:
    """Read the turn of a row."""
    return of_keys(db, session_of(db, row), select(TurnRow.key).where(TurnRow.key == row.key))[0]


def branch(last: int, count: int | None = None) -> Select[int]:
    """Select the keys of a turn and its ancestors, ``count`` of them at most.

    A parent's key is the smaller one, because it is stored first. To ask for that ends the walk
    where damaged references would make a circle.
    """
    walked = (
        select(TurnRow.key, TurnRow.parent_key, literal(1).label("n"))
        .where(TurnRow.key == last)
        .cte(recursive=True)
    )
    parent = _ancestors()
    step = select(parent.key, parent.parent_key, walked.c.n + 1)
    above = (parent.key == walked.c.parent_key) & (parent.key < walked.c.key)
    step = step.join(walked, above)
    if count is not None:
        step = step.where(walked.c.n < count)
    walked = walked.union_all(step)
    return select(walked.c.key)


@cache
def _parents() -> type[TurnRow]:
    """Return the table once more, made once: an alias copies all columns, half of a read's time."""
    return aliased(TurnRow)


@cache
def _ancestors() -> type[TurnRow]:
    """Return the table of :func:`branch`, which stands within the statement of :func:`of_keys`."""
    return aliased(TurnRow)


def of_keys(db: Session, session: SessionRow, keys: Select[int]) -> tuple[Turn, ...]:
    """Read the turns with these keys, oldest first: a parent is stored before its children."""
    shown = _pictures(db, session, keys)
    parent = _parents()
    found = db.execute(
        select(TurnRow, parent.id)
        .outerjoin(parent, parent.key == TurnRow.parent_key)
        .where(TurnRow.key.in_(keys))
        .order_by(TurnRow.key)
        # Another terminal may have changed a row that this Session has seen before.
        .execution_options(populate_existing=True)
    )
    return tuple(
        Turn(parent=parent_id, pictures=tuple(shown[row.key]), **_values(db, row))
        for row, parent_id in found
    )


def _values(db: Session, row: TurnRow) -> dict[str, Any]:
    """Return what is stored of a turn; a reply that is written by no process is interrupted."""
    stored = values(row, Turn)
    is_reply = row.role is Role.ASSISTANT
    if is_reply and row.finish_reason is None and not leases.is_held(db, row):
        stored["finish_reason"] = FinishReason.INTERRUPTED
    return stored


def _pictures(
    db: Session, session: SessionRow, keys: Select[int]
) -> defaultdict[int, list[Picture]]:
    """Read the pictures of turns, by the key of the turn."""
    names = common(SessionPictureRow, Picture) + common(PictureRow, Picture)
    tables = dict.fromkeys(columns(SessionPictureRow), SessionPictureRow)
    found = db.execute(
        select(TurnPictureRow.turn_key, *(getattr(tables.get(n, PictureRow), n) for n in names))
        .join(
            SessionPictureRow,
            (SessionPictureRow.session_key == TurnPictureRow.session_key)
            & (SessionPictureRow.number == TurnPictureRow.number),
        )
        .join(PictureRow, PictureRow.key == SessionPictureRow.picture_key)
        .where(TurnPictureRow.session_key == session.key, TurnPictureRow.turn_key.in_(keys))
        .order_by(TurnPictureRow.turn_key, TurnPictureRow.position)
    )
    by_turn: defaultdict[int, list[Picture]] = defaultdict(list)
    for key, *fields in found:
        by_turn[key].append(Picture(**dict(zip(names, fields, strict=True))))
    return by_turn


def set_pinned(db: Session, turn_id: str, pinned: bool) -> None:
    """Pin a turn, so that its exchange is always in the model's context, or unpin it."""
    turn_row(db, turn_id).pinned = pinned


def set_excluded(db: Session, turn_id: str, excluded: bool) -> None:
    """Take a turn out of the model's context (it stays everywhere else), or put it back.

    A message takes its reply along; a reply goes alone.
    """
    turn_row(db, turn_id).excluded = excluded


def add_user_turn(
    db: Session,
    session_id: str | None,
    draft: Draft,
    *,
    parent: str | Parent | None = Parent.HEAD,
    model: str | None = None,
    system: str | None = None,
    drop_draft: bool = False,
    new_session: str | None = None,
) -> tuple[str, Turn]:
    """Store a message of the user; returns the session's id and the turn.

    ``session_id`` None starts a session, titled after the text or the first picture, whose id is
    ``new_session`` if that is given and no session has it. ``parent`` is
    the turn that this one answers: by default the end of the current branch (while another
    terminal is being answered there, the turn before its message: the two become siblings); an
    earlier turn, to edit the message that followed it; None for the first turn. The new turn
    becomes the head. ``model`` and ``system`` are remembered for the session when given.
    ``drop_draft`` deletes the draft saved for ``session_id`` in the same transaction.

    Each picture gets the session's next number, except that a picture which an earlier version of
    this message (a sibling) showed keeps its number.
    """
    if session_id is None:
        session = _new_session(db, draft, new_session)
    else:
        session = session_row(db, session_id)
    if model is not None:
        session.model = storable(model)
    if system is not None:
        session.system = storable(system)
    above = _row_above(db, session, parent)
    row = add(db, session, above, Role.USER, storable(draft.text))
    pictures.attach(db, session, row, above, draft.pictures)
    if drop_draft:
        drafts.drop(db, session_id)
    return session.id, of_row(db, row)


def picture_numbers(
    db: Session,
    session_id: str | None,
    files: Sequence[PictureFile],
    *,
    parent: str | Parent | None = Parent.HEAD,
) -> list[int]:
    """Return the numbers that :func:`add_user_turn` would give these pictures now."""
    if session_id is None:
        return list(range(1, len(files) + 1))
    session = session_row(db, session_id)
    return pictures.numbers(db, session, _row_above(db, session, parent), files)


def add_recall_turn(db: Session, session_id: str, text: str) -> Turn:
    """Store quoted earlier turns as a user turn that awaits no reply; it becomes the head."""
    session = session_row(db, session_id)
    row = add(db, session, _end_of_branch(db, session), Role.USER, storable(text))
    row.kind = TurnKind.RECALL
    row.writer = None
    leases.give_up(row.id)
    db.flush()
    return of_row(db, row)


def add(db: Session, session: SessionRow, above: TurnRow | None, role: Role, text: str) -> TurnRow:
    """Add a turn that this process is working on, and make it the head."""
    now = utc_now()
    row = TurnRow(
        id=unused_id(db, TurnRow, TURN_LENGTH),
        session_key=session.key,
        parent_key=None if above is None else above.key,
        depth=1 if above is None else above.depth + 1,
        role=role,
        text=text,
        created=now,
    )
    leases.take(db, row)
    db.add(row)
    db.flush()
    session.head_key = row.key
    session.updated = now
    return row


def _new_session(db: Session, draft: Draft, wanted: str | None) -> SessionRow:
    names = (title_of(picture.name) for picture in draft.pictures)
    unquoted = "\n".join(line for line in draft.text.splitlines() if not line.startswith(">"))
    title = title_of(unquoted) or title_of(draft.text) or next(filter(None, names), "")
    now = utc_now()
    session = SessionRow(
        id=unused_id(db, SessionRow, SESSION_LENGTH, wanted),
        title=title or "New chat",
        created=now,
        updated=now,
        pinned=False,
    )
    db.add(session)
    db.flush()
    return session


def _row_above(db: Session, session: SessionRow, parent: str | Parent | None) -> TurnRow | None:
    """Find the turn that a new turn follows."""
    match parent:
        case Parent.HEAD:
            return _end_of_branch(db, session)
        case None:
            return None
        case str():
            return turn_row(db, parent, session)


def _end_of_branch(db: Session, session: SessionRow) -> TurnRow | None:
    """Find the turn that a new message follows by default.

    It is the head, except while another live terminal is being answered there: then the message
    becomes a sibling of that terminal's, which its sender had not seen when they wrote theirs.
    """
    row = head_of(db, session)
    while row is not None and leases.is_held_elsewhere(db, row):
        message = _parent(db, row) if row.role is Role.ASSISTANT else row
        row = None if message is None else _parent(db, message)
    return row


def _parent(db: Session, row: TurnRow) -> TurnRow | None:
    return None if row.parent_key is None else db.get(TurnRow, row.parent_key)
