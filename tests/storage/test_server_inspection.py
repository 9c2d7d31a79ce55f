"""Inspection of a database on a server: who looks, and whether row security holds."""

from __future__ import annotations

from contextlib import closing

import pytest

from storage import database, migrations
from storage.inspection import examine
from storage.store import Store
from tests.storage.postgres_server import PostgresServer


@pytest.fixture
def name(postgres: PostgresServer) -> str:
    """The name of a database that is ready to be used, and of its owner after ``of_``."""
    address = postgres.database()
    Store.open(address).close()
    return address.partition("?")[0].rpartition("/")[2]


def test_a_user_whose_rights_are_right(postgres: PostgresServer, name: str) -> None:
    found = examine(postgres.address(f"of_{name}", name))
    assert (found.exists, found.sessions, found.user) == (True, 0, f"of_{name}")
    assert found.concerns == ()
    assert found.size


def test_a_superuser_is_said_to_read_everything(postgres: PostgresServer, name: str) -> None:
    (found,) = examine(postgres.address("phichat", name)).concerns
    assert "phichat of the database is a superuser" in found.what


def test_a_role_that_bypasses_row_security(postgres: PostgresServer, name: str) -> None:
    postgres.say(f"ALTER ROLE of_{name} BYPASSRLS")
    (found,) = examine(postgres.address(f"of_{name}", name)).concerns
    assert "has BYPASSRLS" in found.what


def test_row_security_that_is_off(postgres: PostgresServer, name: str) -> None:
    postgres.say("ALTER TABLE turns NO FORCE ROW LEVEL SECURITY", name)
    postgres.say("ALTER TABLE drafts DISABLE ROW LEVEL SECURITY", name)
    (found,) = examine(postgres.address(f"of_{name}", name)).concerns
    assert "not in force for drafts, turns" in found.what


def test_rights_that_are_missing(postgres: PostgresServer, name: str) -> None:
    postgres.say(f"CREATE ROLE guest_of_{name} LOGIN")
    postgres.say(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest_of_{name}", name)
    found = examine(postgres.address(f"guest_of_{name}", name))
    (concern,) = found.concerns
    assert "sessions: delete, sessions: insert" in concern.what
    assert "select" not in concern.what


def test_tables_of_an_earlier_version(postgres: PostgresServer, name: str) -> None:
    address = postgres.address(f"of_{name}", name)
    engine = database.make_engine(database.parse(address))
    with database.migration(engine, "here") as connection:
        migrations.downgrade(connection, migrations.KNOWN[-2])
    engine.dispose()
    (found,) = examine(address).concerns
    assert "earlier phichat" in found.what
    with closing(Store.open(address)):
        assert examine(address).concerns == ()


def test_an_empty_database_is_left_empty(postgres: PostgresServer) -> None:
    address = postgres.database()
    assert [examine(address).exists for _ in range(2)] == [False, False]
