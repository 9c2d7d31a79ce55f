"""A stored field is found by its name: in the value, the document, the import and the copy."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
from sqlalchemy import Text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from assistant.values.conversation import Conversation, Draft, Picture, Turn
from storage import rows
from storage.exchange import document
from storage.schema import PictureRow, SessionPictureRow, SessionRow, TurnRow
from storage.store import Store
from storage.transactions import reads, writes


class _Base(DeclarativeBase):
    pass


class _Row(_Base):
    __tablename__ = "notes"

    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str]
    note: Mapped[str | None]
    words: Mapped[str | None] = mapped_column(Text, info={"computed": True})


@dataclasses.dataclass(frozen=True)
class _Value:
    id: str
    note: str | None
    parent: str | None = None


class _NotePart(document.Part):
    id: str
    note: str | None
    parent: str | None


def test_a_field_that_is_a_column_goes_the_whole_way_without_being_named() -> None:
    row = _Row(key=1, id="a", note="remember", words="remember")
    value = _Value(**rows.values(row, _Value))  # type: ignore[arg-type]
    part = _NotePart.of(value)
    assert part.model_dump() == {"id": "a", "note": "remember", "parent": None}
    assert part.columns(_Row) == {"id": "a", "note": "remember"}  # type: ignore[arg-type]
    assert rows.copied(row, id="b") == {"id": "b", "note": "remember"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "tables", "part", "own"),
    [
        (Turn, (TurnRow,), document.TurnPart, {"parent", "pictures"}),
        (Conversation, (SessionRow,), document.SessionPart, {"turns"}),
        (Picture, (SessionPictureRow, PictureRow), document.SessionPicturePart, set()),
    ],
)
def test_every_field_of_a_value_is_stored_and_exported(
    value: type, tables: tuple[type, ...], part: type[document.Part], own: set[str]
) -> None:
    names = {field.name for field in dataclasses.fields(value)}
    stored = set().union(*(rows.columns(table) for table in tables))
    assert names - stored == own
    exported = set(part.model_fields) | set(document.PicturePart.model_fields)
    assert names - exported == set()


def test_methods_of_the_store_are_the_functions_with_their_signatures(store: Store) -> None:
    assert list(inspect.signature(store.rename).parameters) == ["session_id", "title"]
    methods = [one for name, one in vars(Store).items() if inspect.isfunction(one)]
    assert len(methods) > 40
    assert [method.__name__ for method in methods if not method.__doc__] == []


def test_a_method_that_fails_writes_nothing(store: Store) -> None:
    session, _ = store.add_user_turn(None, Draft("before"))

    def rename_and_fail(db: Session, title: str) -> None:
        rows.session_row(db, session).title = title
        raise RuntimeError(title)

    def title(db: Session) -> str:
        return rows.session_row(db, session).title

    with pytest.raises(RuntimeError):
        writes(rename_and_fail)(store, "after")
    assert reads(title)(store) == "before"
