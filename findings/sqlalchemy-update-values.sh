#!/bin/sh
# SQLAlchemy 2.1.9: after an ORM update() objects of the session hold other values than their rows.
#
# Guessed before it was run: session.execute(update(...)) brings loaded objects up to date as the
# database does it, and expires what Python can't compute the same way.
# Seen: values() are computed in Python one after another, each on the object that the one before has
# changed already. So a swap of two columns is right in the table and makes both the same in the
# object; which of the two values it is changes from process to process, as the columns are a set. "%"
# has Python's sign (2 for -7 % 3, the row says -1), and a column's collation is not asked for: a
# deleted row's object stays in the session. No warning, nothing to switch on. A refresh shows the
# row, and so does a commit unless objects outlive it. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'SQLAlchemy==2.1.9'
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import sqlalchemy
from sqlalchemy import Delete, String, Update, create_engine, delete, inspect, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Box(Base):
    __tablename__ = "boxes"
    key: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(collation="NOCASE"))
    left: Mapped[int]
    right: Mapped[int]


engine = create_engine("sqlite://")
Base.metadata.create_all(engine)


def both(statement: Update | Delete) -> tuple[object, object]:
    """The columns of the object and of its row after a statement; None for one that is gone."""
    with Session(engine) as session:
        session.execute(delete(Box))
        session.commit()
        box = Box(key=1, name="ann", left=-7, right=3)
        session.add(box)
        session.flush()
        session.execute(statement)
        held = None if inspect(box).deleted else (box.name, box.left, box.right)
        select = "SELECT name, \"left\", \"right\" FROM boxes"
        row = session.connection().exec_driver_sql(select).one_or_none()
        return held, row and tuple(row)


print("SQLAlchemy", sqlalchemy.__version__)
seen = {
    "left = right, right = left": both(update(Box).values(left=Box.right, right=Box.left)),
    "left = left % 3": both(update(Box).values(left=Box.left % 3)),
    "right = 9 where name = 'ANN'": both(update(Box).where(Box.name == "ANN").values(right=9)),
    "delete where name = 'ANN'": both(delete(Box).where(Box.name == "ANN")),
}
for what, (held, row) in seen.items():
    print(f"{what}: object {held}, row {row}")
(swapped, row), *others = seen.values()
sys.exit(
    swapped not in (("ann", 3, 3), ("ann", -7, -7))
    or row != ("ann", 3, -7)
    or others
    != [
        (("ann", 2, 3), ("ann", -1, 3)),
        (("ann", -7, 3), ("ann", -7, 9)),
        (("ann", -7, 3), None),
    ]
)
PYTHON
