"""PostgreSQL: stored vectors of words, in a table that a function searches for one owner.

Under row security an index over the words themselves can't be used: PostgreSQL first looks whose
row it is, because the operator of the search may leak what it sees, and so reads every row. The
vectors are therefore in a table that only its owner reads, and ``phichat_found`` answers
with the keys of the caller's rows only. Stored, because to compute the vector again for each row
that has the words of a phrase took seconds.

SQLite has its FTS5 tables.

Revision ID: 0010
Revises: 0009
"""
# ruff: noqa: S608  (the names in these statements are this file's own)

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ENDED = "{row}.role <> 'assistant' OR {row}.finish_reason IS NOT NULL"

# table: kind, key, number, session, words, text, which rows, columns that change any of it
_SEARCHED = {
    "turns": (0, "key", "0", "session_key", "words", "text", _ENDED,
              "text, words, role, finish_reason, owner"),
    "sessions": (1, "key", "0", "key", "title_words", "title", "true",
                 "title, title_words, owner"),
    "session_pictures": (2, "session_key", "number", "session_key", "name_words", "name", "true",
                         "name, name_words, owner"),
}  # fmt: skip


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_TABLE)
    for table in _SEARCHED:
        op.execute(f"DROP INDEX ix_{table}_search")
        op.execute(f"INSERT INTO searched {_vectors(table, table)} FROM {table} {_where(table)}")
        op.execute(_trigger_function(table))
        op.execute(
            f"CREATE TRIGGER {table}_searched AFTER INSERT OR DELETE OR "
            f"UPDATE OF {_SEARCHED[table][-1]} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION phichat_search_{table}()"
        )
    for index in _INDEXES:
        op.execute(index)
    # No policy: others read nothing of it, whatever was granted. Its owner, who is the functions'
    # owner too, is exempt.
    op.execute("ALTER TABLE searched ENABLE ROW LEVEL SECURITY")
    op.execute("REVOKE ALL ON searched FROM PUBLIC")
    op.execute(_FOUND)
    for function in ("phichat_found", *(f"phichat_search_{table}" for table in _SEARCHED)):
        # What these names mean is settled now, and not by who calls.
        op.execute(
            f"DO $$ BEGIN EXECUTE format('ALTER FUNCTION {function} SET search_path = %I, pg_temp',"
            " current_schema()); END $$"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("DROP FUNCTION phichat_found")
    for table, (*_, words, text, _, _) in _SEARCHED.items():
        op.execute(f"DROP TRIGGER {table}_searched ON {table}")
        op.execute(f"DROP FUNCTION phichat_search_{table}")
        op.execute(
            f"CREATE INDEX ix_{table}_search ON {table} "
            f"USING gin (phichat_vector({words}, {text})) {_where(table)}"
        )
    op.execute("DROP TABLE searched")


def _where(table: str) -> str:
    return f"WHERE {_SEARCHED[table][6].format(row=table)}"


def _vectors(table: str, row: str) -> str:
    kind, key, number, session, words, text, _, _ = _SEARCHED[table]
    plain = number if number == "0" else f"{row}.{number}"
    return (
        f"SELECT {kind}, {row}.{key}, {plain}, {row}.{session}, {row}.owner, "
        f"phichat_vector({row}.{words}, {row}.{text})"
    )


def _trigger_function(table: str) -> str:
    kind, key, number, _, _, _, which, _ = _SEARCHED[table]
    plain = number if number == "0" else f"OLD.{number}"
    return f"""
CREATE FUNCTION phichat_search_{table}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM searched s WHERE s.kind = {kind} AND s.key = OLD.{key} AND s.number = {plain};
    END IF;
    IF TG_OP <> 'DELETE' AND ({which.format(row="NEW")}) THEN
        INSERT INTO searched {_vectors(table, "NEW")};
    END IF;
    RETURN NULL;
END $$
"""


_TABLE = """
CREATE TABLE searched (
    kind smallint NOT NULL,
    key integer NOT NULL,
    number integer NOT NULL,
    session_key integer NOT NULL,
    owner name NOT NULL,
    vector tsvector NOT NULL
)
"""
_INDEXES = (
    "ALTER TABLE searched ADD CONSTRAINT pk_searched PRIMARY KEY (kind, key, number)",
    "CREATE INDEX ix_searched_owner_kind_key_number ON searched (owner, kind, key, number)",
    "CREATE INDEX ix_searched_session_key_kind ON searched (session_key, kind)",
    "CREATE INDEX ix_searched_vector ON searched USING gin (vector)",
)

# Who calls may name any role that it may become. Of its newest rows 500 are looked at first:
# where one in fifty has the words, the walk on from the newest finds as many as are wanted soon,
# and the index would list nearly all rows; where they are rarer, it is the other way round.
_FOUND = """
CREATE FUNCTION phichat_found(
    as_role name, of_kind integer, wanted tsquery, in_session integer, hidden integer[],
    most integer
) RETURNS TABLE (key integer, number integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET jit = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    looked_at integer;
    hits integer;
BEGIN
    IF NOT pg_has_role(session_user, as_role, 'MEMBER') THEN
        RETURN;
    END IF;
    IF in_session IS NOT NULL THEN
        RETURN QUERY SELECT s.key, s.number FROM searched s
            WHERE s.session_key = in_session AND s.kind = of_kind AND s.owner = as_role
            AND s.vector @@ wanted
            ORDER BY s.key DESC, s.number DESC LIMIT most;
        RETURN;
    END IF;
    SELECT count(*), count(*) FILTER (WHERE hit) INTO looked_at, hits FROM (
        SELECT s.vector @@ wanted AND s.session_key <> ALL (hidden) AS hit FROM searched s
        WHERE s.owner = as_role AND s.kind = of_kind
        ORDER BY s.owner DESC, s.kind DESC, s.key DESC, s.number DESC LIMIT 500
    ) newest;
    IF looked_at < 500 OR hits >= 10 THEN
        RETURN QUERY SELECT w.key, w.number FROM (
            SELECT s.key, s.number, s.session_key, s.vector FROM searched s
            WHERE s.owner = as_role AND s.kind = of_kind
            ORDER BY s.owner DESC, s.kind DESC, s.key DESC, s.number DESC OFFSET 0
        ) w WHERE w.vector @@ wanted AND w.session_key <> ALL (hidden) LIMIT most;
    ELSE
        RETURN QUERY SELECT w.key, w.number FROM (
            SELECT s.key, s.number FROM searched s
            WHERE s.vector @@ wanted AND s.owner = as_role AND s.kind = of_kind
            AND s.session_key <> ALL (hidden) OFFSET 0
        ) w ORDER BY w.key DESC, w.number DESC LIMIT most;
    END IF;
END $$
"""
