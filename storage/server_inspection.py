"""Inspection of a PostgreSQL database without writing: its role, its tables, their row security."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from assistant.values.errors import StorageError
from assistant.values.text import masked
from storage import database, migrations
from storage.database_errors import translated
from storage.database_state import Concern, DatabaseState
from storage.schema import Base

_ROLE = "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = CURRENT_USER"
_NOT_FORCED = """
SELECT relname FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (:names)
AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY relname
"""
_MISSING = """
SELECT table_name || ': ' || lower(privilege)
FROM unnest(CAST(:names AS text[])) AS table_name,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
WHERE NOT has_table_privilege(quote_ident(table_name), privilege) ORDER BY 1
"""
_TABLES = [*(table.name for table in Base.metadata.sorted_tables), "shares"]
_AS_DOCUMENTED = "docs/postgresql.md has the SQL."


def examine_server(url: URL) -> DatabaseState:
    """Look at a database on a server. Raises StorageError for an address that can't be used."""
    where = masked(url.render_as_string())
    engine = database.make_engine(url)
    try:
        with translated(where), engine.connect() as connection:
            return _state(connection, where)
    except StorageError as error:
        remedy = "Correct the setting “database”, or ask who runs the server."
        return DatabaseState(where, concerns=(Concern(str(error), remedy),))
    finally:
        engine.dispose()


def _state(connection: Connection, where: str) -> DatabaseState:
    user, *exempt = connection.execute(text(_ROLE)).one()
    size = connection.scalar(text("SELECT pg_database_size(current_database())"))
    version = database.version(connection, where)
    concerns = list(_of_role(user, *exempt))
    sessions = None
    if version == migrations.NEWEST:
        concerns += _of_tables(connection)
        if not any(one.is_missing_right for one in concerns):
            own = "SELECT count(*) FROM sessions WHERE deleted IS NULL AND owner = CURRENT_USER"
            sessions = connection.scalar(text(own))
    elif version is not None:
        what = f"The tables of {where} are those of an earlier phichat."
        concerns.append(Concern(what, "Their owner brings them up to date: phichat sessions list."))
    return DatabaseState(where, version is not None, size, sessions, user=user,
                         concerns=tuple(concerns))  # fmt: skip


def _of_role(user: str, is_super: bool, bypasses: bool) -> Iterator[Concern]:
    if is_super or bypasses:
        why = "is a superuser" if is_super else "has BYPASSRLS"
        yield Concern(
            f"The user {user} of the database {why}, so row security does not hold for it: "
            "it can read and change the chats of all users.",
            f"Take an address with another user; {_AS_DOCUMENTED}",
        )


def _of_tables(connection: Connection) -> Iterator[Concern]:
    names = {"names": _TABLES}
    if off := connection.scalars(text(_NOT_FORCED), names).all():
        yield Concern(
            f"Row security is not in force for {', '.join(off)}: users may read each other's rows.",
            "As the tables' owner, for each: ALTER TABLE … ENABLE ROW LEVEL SECURITY, "
            "FORCE ROW LEVEL SECURITY.",
        )
    if missing := connection.scalars(text(_MISSING), names).all():
        yield Concern(
            f"The user of the database lacks rights ({', '.join(missing)}).",
            f"Grant them as the tables' owner; {_AS_DOCUMENTED}",
            is_missing_right=True,
        )
