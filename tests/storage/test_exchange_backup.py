"""A copy of a live database is the database at one moment, whole, and never over something else."""

from __future__ import annotations

import itertools
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from assistant.values.conversation import Draft
from assistant.values.errors import StorageError
from storage.store import Store
from tests.storage.stored_pictures import make_picture
from tests.storage.victims import Terminal


@pytest.mark.skipif(os.name == "nt", reason="POSIX forks")
def test_a_backup_while_another_process_writes(
    store: Store, location: Path, tmp_path: Path
) -> None:
    def write(say: Callable[..., None], _listen: Callable[[], str]) -> None:
        other = Store.open(location)
        session, _ = other.add_user_turn(None, Draft("turn 0"))
        say(session)
        for n in itertools.count(1):
            other.add_user_turn(session, Draft(f"turn {n}", (make_picture(f"{n}" * 5000),)))

    writer = Terminal(write)
    try:
        (session,) = writer.heard()
        for number in range(5):
            said_before = [turn.text for turn in store.all_turns(session)]
            target = tmp_path / f"{number}.db"
            store.backup(target)
            with closing(sqlite3.connect(target)) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
            with closing(Store.open(target)) as copied:
                said = [turn.text for turn in copied.conversation(session).turns]
                assert said == [f"turn {n}" for n in range(len(said))], "one moment of it"
                assert said[: len(said_before)] == said_before
                for turn in copied.all_turns(session)[1:]:
                    assert len(copied.picture_data(turn.pictures[0].sha256)) >= 5000
        assert writer.is_alive(), "it went on writing"
    finally:
        writer.end()


@pytest.mark.usefixtures("location")
def test_a_backup_is_one_file_that_only_its_owner_can_read(store: Store, tmp_path: Path) -> None:
    session, _ = store.add_user_turn(None, Draft("x", (make_picture("cat"),)))
    folder = tmp_path / "backups"
    folder.mkdir()
    store.backup(folder / "a.db")
    assert [path.name for path in folder.iterdir()] == ["a.db"]
    assert stat.S_IMODE((folder / "a.db").stat().st_mode) == 0o600
    with closing(Store.open(folder / "a.db")) as copied:
        assert "".join(copied.export()) == "".join(store.export())
        assert copied.find_session(session[:4]) == session


def test_nothing_is_overwritten_without_being_asked(
    store: Store, location: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.db"
    target.write_text("mine")
    with pytest.raises(StorageError, match=r"exists already.*--overwrite"):
        store.backup(target)
    assert target.read_text() == "mine"
    store.backup(target, overwrite=True)
    assert target.read_bytes().startswith(b"SQLite format 3\0")
    for itself in (location, Path(f"{location}-wal")):
        with pytest.raises(StorageError, match="is the database itself"):
            store.backup(itself, overwrite=True)
    link = tmp_path / "link.db"
    link.symlink_to(location)
    with pytest.raises(StorageError, match="is the database itself"):
        store.backup(link, overwrite=True)
    with pytest.raises(StorageError, match="is not a file"):
        store.backup(tmp_path)
    with pytest.raises(StorageError, match="can't be written"):
        store.backup(tmp_path / "nowhere" / "a.db")


def test_a_damaged_database_is_not_taken_for_a_backup(location: Path, tmp_path: Path) -> None:
    with closing(Store.open(location)) as store:
        store.add_user_turn(None, Draft("x", (make_picture("cat" * 9000),)))
    with location.open("r+b") as file:
        file.seek(-4096 * 3, 2)
        file.write(b"\xff" * 4096)
    with closing(Store.open(location)) as store, pytest.raises(StorageError, match="damaged"):
        store.backup(tmp_path / "a.db")
    assert not (tmp_path / "a.db").exists()


def test_a_server_makes_its_own_backups(address: str, backend: str, tmp_path: Path) -> None:
    with closing(Store.open(address)) as store:
        if backend == "postgresql":
            with pytest.raises(StorageError, match="pg_dump"):
                store.backup(tmp_path / "a.db")
            assert not (tmp_path / "a.db").exists()
        else:
            store.backup(tmp_path / "a.db")
            assert (tmp_path / "a.db").exists()
