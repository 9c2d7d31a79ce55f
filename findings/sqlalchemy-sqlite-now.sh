#!/bin/sh
# SQLAlchemy 2.1.9 on SQLite: a time that func.now() wrote is equal to no time, its own included.
#
# Guessed before it was run: a row is found again by the value that its column was read as, and rows
# of one second, written by func.now() or by Python, compare as the times that they hold.
# Seen: SQLite writes "12:00:00", SQLAlchemy sends "12:00:00.000000", and texts are compared. The value
# just read finds nothing by "=" or ">=", and is found by "<", so a list that is paged by "older
# than the last one shown" shows that row again on every page. Two rows that are read as the
# same time are two groups. No warning, and right on PostgreSQL. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'SQLAlchemy==2.1.9'
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from datetime import datetime

import sqlalchemy
from sqlalchemy import ColumnElement, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Message(Base):
    __tablename__ = "messages"
    key: Mapped[int] = mapped_column(primary_key=True)
    written: Mapped[datetime]


engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add(Message(key=1, written=func.now()))
    session.commit()
    read = session.get_one(Message, 1).written

    def found(condition: ColumnElement[bool]) -> list[int]:
        return list(session.scalars(select(Message.key).where(condition)))

    seen = {
        "= the value read": found(Message.written == read),
        ">= the value read": found(Message.written >= read),
        "< the value read": found(Message.written < read),
    }
    session.add(Message(key=2, written=read))
    session.commit()
    times = session.scalars(select(Message.written)).all()
    groups = session.execute(select(func.count()).select_from(Message).group_by(Message.written)).all()

print("SQLAlchemy", sqlalchemy.__version__, "read", repr(read))
for what, keys in seen.items():
    print(f"{what}: {keys}")
print("two rows, times", set(times), "groups", len(groups))
sys.exit([*seen.values(), len(set(times)), len(groups)] != [[], [], [1], 1, 2])
PYTHON
