"""A store on a real SQLite file, and on a real PostgreSQL server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from assistant.conversation import FinishReason, Turn
from storage import Store
from tests.storage.postgres_server import PostgresServer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What a store does, it does in both databases; a test that asks for the file is about it."""
    if "backend" in metafunc.fixturenames:
        both = "location" not in metafunc.fixturenames
        metafunc.parametrize("backend", ["sqlite", "postgresql"] if both else ["sqlite"])


@pytest.fixture
def location(tmp_path: Path) -> Path:
    """Where a SQLite database may be made; there is none yet."""
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
    try:
        server = PostgresServer()
    except OSError as error:
        pytest.skip(f"no PostgreSQL server could be started: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _on_server(postgres: PostgresServer) -> str:
    """The one database that the tests there share, one after the other."""
    address = postgres.database()
    Store.open(address).close()
    return address


@pytest.fixture
def address(backend: str, request: pytest.FixtureRequest) -> str:
    """Where an empty database is."""
    if backend == "postgresql":
        emptied: str = request.getfixturevalue("_on_server")
        with create_engine(emptied, poolclass=NullPool).begin() as connection:
            for table in ("drafts", "sessions", "pictures"):  # and what hangs on them
                connection.execute(text(f"DELETE FROM {table}"))
        return emptied
    location: Path = request.getfixturevalue("location")
    shutil.copy(request.getfixturevalue("_empty"), location)
    return str(location)


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    opened = Store.open(address)
    yield opened
    opened.close()


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
