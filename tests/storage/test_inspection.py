"""A database that is looked at stays as it is, to the last side file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from assistant.values.errors import StorageError
from storage.inspection import examine
from storage.store import Store


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_a_missing_one_is_not_made(tmp_path: Path) -> None:
    found = examine(tmp_path / "no" / "phichat.db")
    assert found.exists is False
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [True, False])
def test_one_that_no_process_has_open(tmp_path: Path, check: bool) -> None:
    path = tmp_path / "a b#?%.db"
    Store.open(path).close()
    before = files(tmp_path)
    found = examine(path, check=check)
    assert (found.exists, found.sessions, found.problem) == (True, 0, None)
    assert found.size == path.stat().st_size
    assert files(tmp_path) == before


def test_one_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "phichat.db"
    Store.open(path).close()
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE other (x)")
        before = {name: size for name, (size, _) in files(tmp_path).items()}
        assert "phichat.db-wal" in before
        found = examine(path)
        assert (found.sessions, found.problem) == (0, None)
        assert {name: size for name, (size, _) in files(tmp_path).items()} == before


def test_a_damaged_one_says_so(tmp_path: Path) -> None:
    path = tmp_path / "phichat.db"
    Store.open(path).close()
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 6] = os.urandom(4096 * 3)
    path.write_bytes(data)
    found = examine(path)
    assert found.problem is not None
    assert str(path) in found.problem


def test_a_server_is_named_without_its_password() -> None:
    found = examine("postgresql+psycopg://me:secret@127.0.0.1:1/name")
    assert found.exists is None
    assert "check its address" in found.concerns[0].what
    assert "secret" not in found.concerns[0].what
    assert "secret" not in found.where
    with pytest.raises(StorageError):
        examine("nonsense://x")
