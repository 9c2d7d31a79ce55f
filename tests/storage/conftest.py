"""A store on a real SQLite file, and on a real PostgreSQL server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from assistant.values.conversation import FinishReason, Turn
from storage.store import Store
from tests.storage.postgres_server import PostgresServer, running_server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A store does the same in both databases; a test that asks for the file is about it."""
    if "backend" in metafunc.fixturenames:
        both = "location" not in metafunc.fixturenames
        metafunc.parametrize("backend", ["sqlite", "postgresql"] if both else ["sqlite"])


@pytest.fixture
def location(tmp_path: Path) -> Path:
    """A location for a SQLite database; there is none yet."""
    return tmp_path / "phichat.db"


@pytest.fixture(scope="session")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, made once: migrating takes longer than most tests do."""
    path = tmp_path_factory.mktemp("empty") / "phichat.db"
    Store.open(path).close()
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of our own; tests that need it are skipped where none can be started."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def _shared_on_server(postgres: PostgresServer) -> Iterator[tuple[str, Store]]:
    address = postgres.database()
    with closing(Store.open(address)) as store:
        yield address, store


@pytest.fixture(scope="session")
def _shared_file(_empty: Path) -> Iterator[tuple[str, Store]]:
    path = _empty.with_name("shared.db")
    shutil.copy(_empty, path)
    with closing(Store.open(path)) as store:
        yield str(path), store


@pytest.fixture
def _opened(backend: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, Store]]:
    """An empty database, its address and a store on it.

    Tests share one of each kind, one after the other, because a new engine
    compiles every statement again; those about the file get one of their own.
    """
    if "location" in request.fixturenames:
        location: Path = request.getfixturevalue("location")
        shutil.copy(request.getfixturevalue("_empty"), location)
        with closing(Store.open(location)) as store:
            yield str(location), store
        return
    shared: tuple[str, Store] = request.getfixturevalue(
        "_shared_file" if backend == "sqlite" else "_shared_on_server"
    )
    clear(shared[1])
    yield shared


def clear(store: Store) -> None:
    """Leave nothing in a database but its tables."""
    with store.writing() as db:
        for table in ("drafts", "sessions", "pictures"):  # and what hangs on them
            db.execute(text(f"DELETE FROM {table}"))


@pytest.fixture
def address(_opened: tuple[str, Store]) -> str:
    """The location of an empty database."""
    return _opened[0]


@pytest.fixture
def store(_opened: tuple[str, Store]) -> Store:
    """A store on the database at ``address``."""
    return _opened[1]


@pytest.fixture
def answer(store: Store) -> Callable[..., Turn]:
    """Store a complete reply to a turn."""

    def write(session: str, turn: Turn, text: str = "Yes.") -> Turn:
        reply = store.start_reply(session, turn.id, model="demo")
        return store.finish_reply(
            reply.id,
            text=text,
            token_ids=(1, 2, 3),
            finish_reason=FinishReason.STOP,
            usage=None,
            timings=None,
        )

    return write
