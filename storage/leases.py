"""Leases of turns that are being written: by which process, and until when.

A lease lasts half a minute and each checkpoint renews it, so that a turn whose writer hangs, or
could not store its end, is free again soon. A writer that is known to be dead holds nothing, and
this process knows of itself what it still writes. Moments are those of the database's clock,
because several machines may use it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import extract, func, select
from sqlalchemy.orm import Session

from storage import writers
from storage.schema import TurnRow

LEASE_S = 30
"""Seconds for which a turn stays its writer's without a checkpoint."""

LONGEST_S = 2 * LEASE_S
"""Seconds: a lease for longer is none, because the clock was put back since."""

_WITHOUT_LEASE = timedelta(days=1)
"""Time after which a turn is given up whose writer, of phichat 0.1, has no lease and can't be
looked up."""

_mine: set[str] = set()
"""Ids of the turns that this process writes: of itself a process need not guess."""


def take(db: Session, row: TurnRow) -> None:
    """Let this process hold a turn from now on, or for longer."""
    row.writer = f"{writers.this_process()} {_now(db) + LEASE_S}"
    _mine.add(row.id)


def give_up(turn_id: str) -> None:
    """Hold a turn no longer, whatever is stored about it; the database need not answer."""
    _mine.discard(turn_id)


def is_held(db: Session, row: TurnRow) -> bool:
    """Whether a process, this one or another, still writes the turn."""
    return row.writer is not None and _holds(db, row, row.writer)


def is_held_elsewhere(db: Session, row: TurnRow) -> bool:
    """Whether another process still writes the turn."""
    return not _is_ours(row.writer) and is_held(db, row)


def lapsed(db: Session, rows: Iterable[TurnRow]) -> list[int]:
    """Return the keys of those rows which have a writer on record that holds them no longer."""
    return [row.key for row in rows if row.writer is not None and not is_held(db, row)]


def _holds(db: Session, row: TurnRow, writer: str) -> bool:
    if _is_ours(writer):
        return row.id in _mine
    process, _, until = writer.partition(" ")
    is_alive = writers.is_alive(process)
    if is_alive is False:
        return False
    if until.isdigit():
        return 0 < int(until) - _now(db) <= LONGEST_S
    return bool(is_alive) or datetime.now(UTC) - row.created < _WITHOUT_LEASE


def _is_ours(writer: str | None) -> bool:
    return writer is not None and writer.partition(" ")[0] == writers.this_process()


def _now(db: Session) -> int:
    """Read the database's clock, in whole seconds; a file has that of its machine."""
    if db.get_bind().dialect.name == "sqlite":
        return int(time.time())
    return int(db.execute(select(extract("epoch", func.clock_timestamp()))).scalar_one())
