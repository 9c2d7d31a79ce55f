"""Opening a database, and everything that can be wrong with one: one plain sentence each."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event, text

from assistant.values.conversation import Draft
from assistant.values.errors import StorageError
from storage import database
from storage.store import Store
from tests.storage.postgres_server import PostgresServer
from tests.storage.stored_pictures import make_picture
from tests.storage.victims import Say, Victim


def refused(location: str | Path) -> str:
    """The sentence with which a location is refused."""
    with pytest.raises(StorageError) as caught:
        Store.open(location)
    return plain(caught)


def plain(caught: pytest.ExceptionInfo[StorageError]) -> str:
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "sqlalchemy" not in sentence.lower()
    assert sentence.endswith(".")
    return sentence


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_only_the_owner_can_read_what_is_made(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "new folder" / "deeper" / "chat.db")
    store.add_user_turn(None, Draft("private"))
    made = [tmp_path / "new folder", *(tmp_path / "new folder").rglob("*")]
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in made}
    store.close()
    assert modes.pop("new folder") == modes.pop("deeper") == 0o700
    assert set(modes) == {"chat.db", "chat.db-wal", "chat.db-shm"}
    assert set(modes.values()) == {0o600}


def test_a_path_a_string_and_an_address_open_the_same_database(
    location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(location.parent))
    monkeypatch.chdir(location.parent)
    for spelling in (location, str(location), f"sqlite:///{location}", "~/phichat.db"):
        store = Store.open(spelling)
        store.add_user_turn(None, Draft("x"))
        store.close()
    store = Store.open("phichat.db")
    assert len(store.sessions()) == 4
    store.close()


def test_a_connection_waits_for_writers_and_checks_references(location: Path) -> None:
    engine, _ = database.open_engine(location)
    with engine.connect() as connection:
        values = {
            pragma: connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()
            for pragma in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    engine.dispose()
    assert values == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "synchronous": 2,
    }


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "letter.db"
    text.write_text("Dear reader, " * 100)
    assert "not a phichat database" in refused(text)
    assert text.read_text() == "Dear reader, " * 100

    foreign = tmp_path / "bookmarks.db"
    with closing(sqlite3.connect(foreign)) as other, other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    before = foreign.read_bytes()
    assert "another program" in refused(foreign)
    assert foreign.read_bytes() == before

    assert "is a folder" in refused(tmp_path)
    assert "can't be made" in refused(text / "below a file" / "x.db")
    assert "can't be made" in refused("/proc/phichat/x.db")


def test_a_damaged_database_is_not_taken_for_a_foreign_one(location: Path) -> None:
    store = Store.open(location)
    store.add_user_turn(None, Draft("x" * 50_000))
    store.close()
    data = bytearray(location.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    location.write_bytes(data)
    assert "damaged" in refused(location)


def test_a_database_of_a_newer_version_says_so(location: Path) -> None:
    Store.open(location).close()
    with closing(sqlite3.connect(location)) as newer, newer:
        newer.execute("UPDATE alembic_version SET version_num = '0999'")
    assert "newer phichat; update" in refused(location)


@pytest.mark.parametrize(
    "address",
    ["nosuch://x/y", "sqlite:/what", "://", "http://example.org/db", "postgresql+nosuch://h/n"],
)
def test_addresses_that_name_no_database_are_refused(address: str) -> None:
    assert refused(address)


def test_a_missing_driver_names_its_package_and_hides_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    sentence = refused("postgresql+psycopg://me:secret@localhost/chat")
    assert "pip install 'psycopg[binary]==" in sentence
    assert "secret" not in sentence


def test_a_server_that_does_not_answer_is_one_sentence() -> None:
    sentence = refused("postgresql+psycopg://me:secret@127.0.0.1:1/chat")
    assert "check its address and that it runs" in sentence
    assert "secret" not in sentence


def test_what_a_server_refuses_is_one_sentence(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgres.database()
    name = address.partition("?")[0].rpartition("/")[2]
    store = Store.open(address)
    session, _ = store.add_user_turn(None, Draft("kept"))

    with store.engine.begin() as other:
        monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
        other.execute(text("SELECT FROM sessions FOR UPDATE"))
        assert len(store.sessions()) == 1  # readers never wait
        with pytest.raises(StorageError, match="locked") as caught:
            store.add_user_turn(session, Draft("x"))
        plain(caught)

    postgres.say("CREATE ROLE somebody LOGIN")
    postgres.say(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    store.close()
    store = Store.open(address)
    with pytest.raises(StorageError, match="is read-only") as caught:
        store.add_user_turn(None, Draft("x"))
    plain(caught)
    assert [s.title for s in store.sessions()] == ["kept"]
    store.close()
    assert "may not" in refused(postgres.address("somebody", name))


def test_a_read_only_database_is_named_as_such(location: Path) -> None:
    Store.open(location).close()
    with closing(sqlite3.connect(location)) as beside:
        beside.execute("PRAGMA journal_mode = DELETE")
    assert "read-only" in refused(f"sqlite:///file:{location}?mode=ro&uri=true")


def test_a_full_disk_loses_nothing_and_is_named(store: Store, location: Path) -> None:
    session, kept = store.add_user_turn(None, Draft("kept"))

    @event.listens_for(store.engine, "begin")
    def _small_disk(connection: object) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 40")  # type: ignore[attr-defined]

    with pytest.raises(StorageError, match="disk is full") as caught:
        store.add_user_turn(session, Draft("", (make_picture("x" * 300_000),)))
    assert str(location) in plain(caught)
    assert store.all_turns(session) == (kept,)
    store.add_user_turn(session, Draft("short enough"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_a_disk_that_fails_to_write_is_one_sentence(location: Path, tmp_path: Path) -> None:
    Store.open(location).close()

    def program(say: Say) -> None:
        import resource

        store = Store.open(location)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
        try:
            store.add_user_turn(None, Draft("x" * 500_000))
        except StorageError as error:
            say("refused", sentence=str(error))

    (refusal,) = Victim(program, tmp_path / "notes").said()
    assert refusal.values["sentence"].startswith("The disk under")
    store = Store.open(location)
    assert store.sessions() == []
    store.close()


def test_a_database_that_stays_locked_is_one_sentence(
    location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    store = Store.open(location)
    with closing(sqlite3.connect(location, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.sessions() == []  # readers never wait
        with pytest.raises(StorageError, match="locked"):
            store.add_user_turn(None, Draft("x"))
        other.execute("ROLLBACK")
    store.add_user_turn(None, Draft("x"))
    store.close()


def test_a_writer_waits_for_another_one(store: Store, location: Path) -> None:
    with closing(sqlite3.connect(location, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, other.execute, ["COMMIT"])
        release.start()
        store.add_user_turn(None, Draft("patient"))
        release.join()
    assert [s.title for s in store.sessions()] == ["patient"]
