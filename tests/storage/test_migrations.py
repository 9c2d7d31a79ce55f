"""The history of the tables: up, down, up again on data, and half-way."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Engine, inspect

from assistant.values.conversation import Draft, FinishReason, FoundIn, Timings, TurnKind, Usage
from assistant.values.errors import StorageError
from assistant.values.sampling import Parameters
from storage import database, migrations
from storage.schema import Base
from storage.store import Store
from tests.storage import earlier_versions
from tests.storage.postgres_server import PostgresServer
from tests.storage.stored_pictures import make_picture
from tests.tiers import few_quick


def dump(location: Path) -> list[str]:
    with closing(sqlite3.connect(location)) as connection:
        return list(connection.iterdump())


def checked(location: Path) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """List what SQLite finds wrong with a database."""
    with closing(sqlite3.connect(location)) as connection:
        return (
            connection.execute("PRAGMA integrity_check").fetchall(),
            connection.execute("PRAGMA foreign_key_check").fetchall(),
        )


def migrate(engine: Engine, revision: str) -> None:
    with database.migration(engine, "here") as connection:
        if revision == "head":
            migrations.upgrade(connection)
        else:
            migrations.downgrade(connection, revision)


def _is_no_search_table(name: str | None, kind: str, _parents: object) -> bool:
    """FTS5 keeps an index in tables of its own, which no mapping knows."""
    search = ("turn_search", "title_search", "picture_search")
    return kind != "table" or not str(name).startswith(search)


def test_the_known_revisions_are_the_ones_there_are() -> None:
    history = ScriptDirectory.from_config(migrations.config())
    newest_first = [script.revision for script in history.walk_revisions()]
    assert tuple(newest_first[::-1]) == migrations.KNOWN
    assert history.get_heads() == [migrations.NEWEST]


def test_migrations_build_exactly_the_mapped_tables(location: Path) -> None:
    engine, _ = database.open_engine(location)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_name": _is_no_search_table}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        # Autogenerate compares neither names nor checks of these.
        migrated = inspect(connection)
        for table in Base.metadata.sorted_tables:
            checks = {str(c["name"]) for c in migrated.get_check_constraints(table.name)}
            mapped = {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}
            assert checks == mapped, table.name
            foreign = {
                (c["name"], c["options"].get("ondelete"))
                for c in migrated.get_foreign_keys(table.name)
            }
            assert foreign == {(c.name, c.ondelete) for c in table.foreign_key_constraints}
    engine.dispose()


def test_down_to_nothing_and_up_again_on_data(location: Path) -> None:
    store = Store.open(location)
    empty = dump(location)
    session, turn = store.add_user_turn(None, Draft("hello", (make_picture("cat"),)))
    store.start_reply(session, turn.id, model="demo")
    store.close()
    engine = database.make_engine(database.parse(location))
    migrate(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()

    again = Store.open(location)
    assert again.sessions() == []
    assert dump(location) == empty
    again.add_user_turn(None, Draft("hello", (make_picture("cat"),)))
    again.close()
    assert checked(location) == ([("ok",)], [])


@pytest.fixture
def empty_address(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A location where nothing is yet."""
    if backend == "sqlite":
        return str(tmp_path / "earlier.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


def read(store: Store) -> list[object]:
    """Read the data of the earlier versions."""
    conversation = store.conversation("first")
    return [
        *(replace(turn, parameters=None, pinned=False) for turn in store.all_turns("first")),
        (conversation.title, conversation.model, conversation.system, conversation.pinned),
        [turn.id for turn in conversation.turns],
        store.picture_data("aa"),
        [(p.number, p.name, p.width, p.height) for p in conversation.pictures],
    ]


@pytest.mark.parametrize("revision", few_quick(migrations.KNOWN, 2))
def test_a_database_of_every_earlier_version_is_brought_up_to_date(
    empty_address: str, revision: str
) -> None:
    earlier_versions.make(empty_address, revision)
    store = Store.open(empty_address)
    conversation = store.conversation("first")
    assert [t.text for t in store.all_turns("first")] == list(earlier_versions.TEXTS)
    assert [t.id for t in conversation.turns] == ["t1", "t2", "t3", "t4"]
    assert conversation.turns[1].token_ids == (5, 6)
    assert conversation.turns[1].usage == Usage(prompt_tokens=5, completion_tokens=2)
    assert conversation.turns[1].timings == Timings(ttft_s=0.5)
    assert conversation.turns[3].finish_reason is FinishReason.INTERRUPTED
    assert (conversation.title, conversation.model, conversation.system, conversation.pinned) == (
        "Übersicht",
        "demo",
        "Be brief.",
        True,
    )
    assert [(p.number, p.name) for p in conversation.pictures] == [(1, "kätzchen.png")]
    assert store.picture_data("aa") == b"\x89PNG"
    assert {t.kind for t in conversation.turns} == {TurnKind.MESSAGE}
    for words, where in (("什么", "t1"), ("grosse", "t2"), ("rewritten", "t5"), ("dog", "t4")):
        assert [h.turn_id for h in store.search(words)] == [where], words
    assert [h.found_in for h in store.search("ubersicht")] == [FoundIn.TITLE]
    assert [h.found_in for h in store.search("katzchen")] == [FoundIn.PICTURE]
    if revision >= "0002":
        assert (conversation.turns[1].pinned, conversation.turns[1].parameters) == (
            True,
            Parameters(seed=7),
        )
        assert store.thumbnail("aa") == b"\x89PNG"
        assert conversation.pictures[0].num_crops == 4
        draft = store.draft("first")
        assert draft is not None
        assert (draft.text, draft.pictures[0].name) == ("typed", "draft.png")

    # It is used on.
    new, turn = store.add_user_turn(None, Draft("new", (make_picture("new"),)))
    assert store.conversation(new).turns == (turn,)
    _, more = store.add_user_turn("first", Draft("more", (make_picture("new"),)))
    assert more.pictures[0].number == 2
    store.delete("first", for_good=True)
    store.close()


@pytest.mark.parametrize("revision", few_quick(migrations.KNOWN[:-1], 2))
def test_down_to_every_earlier_version_and_up_again_keeps_what_that_knew(
    empty_address: str, revision: str
) -> None:
    earlier_versions.make(empty_address, "0001")
    store = Store.open(empty_address)
    before = read(store)
    deleted, _ = store.add_user_turn(None, Draft("deleted"))
    store.delete(deleted)
    store.save_draft("first", Draft("", (make_picture("drafted"),)))
    store.close()
    engine = database.make_engine(database.parse(empty_address))
    migrate(engine, revision)
    engine.dispose()
    again = Store.open(empty_address)
    assert read(again) == before
    assert [h.turn_id for h in again.search("grosse")] == ["t2"]
    if revision < "0002":
        assert deleted in [s.id for s in again.sessions()]
        with pytest.raises(StorageError, match="no longer stored"):
            again.picture_data(make_picture("drafted").sha256)
    again.close()


_FAILING = """
import sqlalchemy as sa
from alembic import op

revision = "0999"
down_revision = "{newest}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("colour", sa.Text()))
    op.execute("UPDATE sessions SET colour = 'red', title = 'gone'")
    op.execute("DELETE FROM turn_pictures")
    with op.batch_alter_table("turns") as batch:
        batch.drop_column("usage")
    {last}
"""


@pytest.mark.parametrize(
    ("last", "says"),
    [
        ("raise RuntimeError('power cut')", "left as it was.*power cut"),
        ("op.execute('INSERT INTO nowhere VALUES (1)')", "nowhere"),
        ("op.execute('DELETE FROM pictures')", "missing ones"),
    ],
)
def test_a_migration_that_fails_half_way_leaves_the_database_as_it_was(
    location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, says: str
) -> None:
    store = Store.open(location)
    session, turn = store.add_user_turn(None, Draft("hello", (make_picture("cat"),)))
    reply = store.start_reply(session, turn.id, model="demo")
    store.checkpoint_reply(reply.id, "half", (1,))
    whole = store.conversation(session)
    store.close()
    before = dump(location)

    history = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).parent, history)
    (history / "versions" / "m0999_failing.py").write_text(
        _FAILING.format(last=last, newest=migrations.NEWEST)
    )
    with monkeypatch.context() as later:
        later.setattr(migrations, "__file__", str(history / "__init__.py"))
        later.setattr(migrations, "KNOWN", (*migrations.KNOWN, "0999"))
        later.setattr(migrations, "NEWEST", "0999")
        with pytest.raises(StorageError, match=says) as caught:
            Store.open(location)
        assert "\n" not in str(caught.value)

    assert dump(location) == before
    assert checked(location) == ([("ok",)], [])
    again = Store.open(location)
    assert again.conversation(session) == whole
    again.close()


def test_a_current_database_opens_without_alembic(location: Path) -> None:
    Store.open(location).close()
    program = (
        "import sys; from storage.store import Store; Store.open(sys.argv[1]).close(); "
        "print([m for m in ('alembic', 'mako', 'torch', 'PIL', 'requests') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, location],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
