"""PostgreSQL: chats that are shared with other roles, which may read them and no more.

Shared chats are visible only to a transaction that asks for them (``phichat.shared``), and such a
one sees nothing else: lists, searches and ``--continue`` stay a user's own.

Revision ID: 0011
Revises: 0010
"""
# ruff: noqa: S608  (the names in these statements are this file's own)

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ASKED = "current_setting('phichat.shared', true)"
# Functions, because a subquery in a policy is charged to every row by the planner, which then
# reads whole tables where it would have looked up a few keys. They have the caller's rights.
_FUNCTIONS = {
    "phichat_is_shared": "SELECT FROM shares s WHERE s.session_key = of_key "
    "AND s.reader = CURRENT_USER",
    "phichat_is_visible": "SELECT FROM sessions s WHERE s.key = of_key",
    "phichat_is_shown": "SELECT FROM session_pictures p WHERE p.picture_key = of_key",
}
_SHARED = {
    "sessions": "deleted IS NULL AND phichat_is_shared(key)",
    "turns": "phichat_is_visible(session_key)",
    "session_pictures": "phichat_is_visible(session_key)",
    "turn_pictures": "phichat_is_visible(session_key)",
    "pictures": "phichat_is_shown(key)",
    "thumbnails": "phichat_is_shown(picture_key)",
}
_TABLE = """
CREATE TABLE shares (
    session_key integer NOT NULL,
    reader name NOT NULL,
    owner name NOT NULL DEFAULT CURRENT_USER,
    CONSTRAINT pk_shares PRIMARY KEY (session_key, reader),
    CONSTRAINT fk_shares_session_key FOREIGN KEY (session_key, owner)
        REFERENCES sessions (key, owner) ON DELETE CASCADE DEFERRABLE INITIALLY IMMEDIATE
)
"""


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_TABLE)
    op.execute("CREATE INDEX ix_shares_reader ON shares (reader)")
    op.execute("ALTER TABLE shares ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE shares FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY own ON shares USING (owner = CURRENT_USER)")
    op.execute("CREATE POLICY shared ON shares FOR SELECT USING (reader = CURRENT_USER)")
    for name, query in _FUNCTIONS.items():
        op.execute(
            f"CREATE FUNCTION {name}(of_key integer) RETURNS boolean LANGUAGE plpgsql STABLE "
            f"COST 10 AS $$ BEGIN RETURN EXISTS ({query}); END $$"
        )
        op.execute(
            f"DO $$ BEGIN EXECUTE format('ALTER FUNCTION {name} SET search_path = %I, pg_temp', "
            "current_schema()); END $$"
        )
    for table, which in _SHARED.items():
        op.execute(
            f"CREATE POLICY shared ON {table} FOR SELECT USING ({_ASKED} = 'on' AND {which})"
        )
        op.execute(
            f"CREATE POLICY apart ON {table} AS RESTRICTIVE FOR SELECT "
            f"USING ({_ASKED} IS DISTINCT FROM 'on' OR owner <> CURRENT_USER)"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _SHARED:
        op.execute(f"DROP POLICY apart ON {table}")
        op.execute(f"DROP POLICY shared ON {table}")
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    op.execute("DROP TABLE shares")
