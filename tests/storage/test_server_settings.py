"""PostgreSQL set otherwise than we expect: by a role, a database, the environment or a pooler."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from assistant.values.conversation import Draft, FinishReason
from assistant.values.errors import DamagedError, StorageError
from storage import database
from storage.store import Store
from tests.storage.postgres_server import PostgresServer
from tests.wait import wait_until

WORDS = "Grüße 漢字 a\\b 'c' \\"
HAS_POOLER = shutil.which("pgbouncer") is not None


@pytest.fixture
def name(postgres: PostgresServer) -> str:
    """The name of an empty database, and of its owner after ``of_``."""
    return postgres.database().partition("?")[0].rpartition("/")[2]


def talk(address: str, turns: int = 1) -> None:
    """Store questions and replies, and read all of them in every way."""
    with closing(Store.open(address)) as store:
        session = None
        for number in range(turns):
            session, asked = store.add_user_turn(session, Draft(f"{WORDS} {number}"))
            reply = store.start_reply(session, asked.id, model="demo")
            for _ in range(8):  # the driver prepares what is asked often in a row
                store.checkpoint_reply(reply.id, "half", (1,))
            store.finish_reply(
                reply.id,
                text=WORDS,
                token_ids=(1, 2),
                finish_reason=FinishReason.STOP,
                usage=None,
                timings=None,
            )
            assert store.search("Grüße")
            store.changes()
        assert session is not None
        texts = [turn.text for turn in store.conversation(session).turns]
        assert texts == [one for n in range(turns) for one in (f"{WORDS} {n}", WORDS)]
        assert "漢字" in "".join(store.export([session]))


@pytest.mark.parametrize("setting", [
    "datestyle = 'German, DMY'", "client_encoding = 'LATIN1'", "standard_conforming_strings = off",
    "row_security = off", "bytea_output = 'escape'",
    "default_transaction_isolation = 'serializable'", "timezone = 'Asia/Kathmandu'",
])  # fmt: skip
def test_what_a_role_is_set_to_changes_nothing(
    postgres: PostgresServer, name: str, setting: str
) -> None:
    address = postgres.address(f"of_{name}", name)
    Store.open(address).close()
    postgres.say(f"ALTER ROLE of_{name} SET {setting}")
    talk(address)


def test_limits_of_a_role_are_not_ours(postgres: PostgresServer, name: str) -> None:
    """Not by a limit that ends our statements: it would end what sets ours, on a busy machine."""
    limits = "statement_timeout", "idle_in_transaction_session_timeout"
    for limit in limits:
        postgres.say(f"ALTER ROLE of_{name} SET {limit} = '5min'")
    with (
        closing(Store.open(postgres.address(f"of_{name}", name))) as store,
        store.engine.connect() as connection,
    ):
        found = [connection.exec_driver_sql(f"SHOW {limit}").scalar() for limit in limits]
    assert found == ["1min", "1min"]


def test_what_the_environment_is_set_to_changes_nothing(
    postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGOPTIONS", "-c row_security=off -c standard_conforming_strings=off")
    talk(postgres.address(f"of_{name}", name))


def test_a_role_without_a_schema_is_a_sentence(postgres: PostgresServer, name: str) -> None:
    postgres.say(f"ALTER ROLE of_{name} SET search_path = 'nowhere'")
    with pytest.raises(StorageError, match="has no schema that this user may use for tables"):
        Store.open(postgres.address(f"of_{name}", name))


def test_tables_that_are_gone_are_a_sentence(postgres: PostgresServer, name: str) -> None:
    with closing(Store.open(postgres.address(f"of_{name}", name))) as store:
        postgres.say("DROP SCHEMA public CASCADE", name)
        with pytest.raises(StorageError, match="Tables of phichat are gone"):
            store.sessions()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_another_encoding_is_refused_before_anything_is_stored(
    postgres: PostgresServer, name: str, encoding: str
) -> None:
    postgres.say(f"CREATE DATABASE x{name} ENCODING '{encoding}' TEMPLATE template0")
    postgres.say(f"ALTER DATABASE x{name} OWNER TO of_{name}")
    with pytest.raises(StorageError, match=f"is encoded in {encoding}; make another one"):
        Store.open(postgres.address(f"of_{name}", f"x{name}"))


def test_one_that_is_there_says_what_it_can_not_hold(
    postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.say(f"CREATE DATABASE x{name} ENCODING 'LATIN1' TEMPLATE template0")
    postgres.say(f"ALTER DATABASE x{name} OWNER TO of_{name}")
    with monkeypatch.context() as before:
        before.setattr(database, "_encoding", lambda connection: "UTF8")
        store = Store.open(postgres.address(f"of_{name}", f"x{name}"))
    with closing(store), pytest.raises(DamagedError, match="is not encoded in UTF-8"):
        store.add_user_turn(None, Draft("漢字"))


def test_another_driver_is_not_one_to_be_installed() -> None:
    with pytest.raises(StorageError, match=r'driver "psycopg2"; begin it with postgresql\+psycopg'):
        Store.open("postgresql+psycopg2://me:secret@host/phichat")


def test_nothing_is_prepared_on_a_connection_that_a_pooler_shares(
    postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgBouncer names a process of its own making to its clients."""
    url = make_url(postgres.address(f"of_{name}", name))

    def threshold() -> int | None:
        engine = database.make_engine(url)
        try:
            with engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                found: int | None = driver.prepare_threshold
                return found
        finally:
            engine.dispose()

    assert threshold() is not None
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 1)
    assert threshold() is None


@contextmanager
def pooler(server: PostgresServer, role: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer, which gives one connection to all transactions; yields its folder."""
    users, settings, log = folder / "users", folder / "settings", folder / "log"
    users.write_text(f'"{role}" ""\n')
    host = make_url(server.address(role)).query["host"]
    settings.write_text(
        f"[databases]\n* = host={host}\n[pgbouncer]\nlisten_addr =\nauth_type = trust\n"
        f"auth_file = {users}\npool_mode = transaction\ndefault_pool_size = 1\n"
        f"unix_socket_dir = {folder}\nlogfile = {log}\n"
    )
    log.touch()
    user: dict[str, Any] = server._user  # it refuses to be run by root, too
    if user:
        for path in (folder, log):
            os.chown(path, user["user"], user["group"])
    with subprocess.Popen(
        ["pgbouncer", "-q", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user
    ) as process:
        try:
            wait_until(lambda: list(folder.glob(".s.PGSQL.*")), "PgBouncer", log.read_text)
            yield str(folder)
        finally:
            process.terminate()


@pytest.mark.skipif(not HAS_POOLER, reason="needs pgbouncer")
def test_several_writers_behind_a_pooler(postgres: PostgresServer, name: str) -> None:
    direct = make_url(postgres.address(f"of_{name}", name))
    Store.open(direct.render_as_string()).close()
    errors: list[BaseException] = []

    def write(address: str) -> None:
        try:
            talk(address, turns=3)
        except BaseException as error:
            errors.append(error)
            raise

    folder = Path(str(direct.query["host"])).with_name("pooler")
    folder.mkdir()
    with pooler(postgres, f"of_{name}", folder) as host:
        address = direct.set(query={"host": host}, port=6432).render_as_string()
        writers = [threading.Thread(target=write, args=(address,)) for _ in range(4)]
        for one in writers:
            one.start()
        for one in writers:
            one.join()
    assert errors == []
