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
_OF_SESSION = "session_key IN (SELECT s.key FROM sessions s)"
_OF_PICTURE = "IN (SELECT p.picture_key FROM session_pictures p)"
# Subqueries of a policy see what the policies of their tables show.
_SHARED = {
    "sessions": "deleted IS NULL AND key IN "
    "(SELECT s.session_key FROM shares s WHERE s.reader = CURRENT_USER)",
    "turns": _OF_SESSION,
    "session_pictures": _OF_SESSION,
    "turn_pictures": _OF_SESSION,
    "pictures": f"key {_OF_PICTURE}",
    "thumbnails": f"picture_key {_OF_PICTURE}",
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
    op.execute("DROP TABLE shares")
