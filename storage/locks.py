"""Locks of write transactions in PostgreSQL: on one session, or on what an owner has one of.

SQLite needs none, because one transaction writes at a time. In PostgreSQL the writers of one
session take turns: its picture numbers and the order of its turns then need no second look.
Who needs both locks takes that of the session first.
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Select, text
from sqlalchemy.orm import Session

OWNERS = 0x706869  # "phi"
"""Class of the advisory locks of owners."""

S = TypeVar("S", bound=Select)  # type: ignore[type-arg]


def is_needed(db: Session) -> bool:
    """Whether this is a write transaction in PostgreSQL."""
    engine = db.get_bind().engine
    return engine.dialect.name != "sqlite" and "phichat_writes" in engine.get_execution_options()


def held(db: Session, statement: S) -> S:
    """Let a write transaction keep the rows that it selects; in others this changes nothing."""
    return statement.with_for_update(key_share=True) if is_needed(db) else statement


def lock_owner(db: Session) -> None:
    """Wait until no other transaction of this role changes its pictures or its new draft."""
    if is_needed(db):
        mine = "SELECT pg_advisory_xact_lock(:owners, hashtext(CURRENT_USER))"
        db.execute(text(mine), {"owners": OWNERS})
