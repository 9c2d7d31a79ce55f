"""An owner of each row in PostgreSQL, and row security by which others' rows are not there.

Rows belong to the role that stored them; those of before to the role that runs this. Keys of
owners are part of the references, so that no row can hang on a row of someone else, and of what
is unique, so that a picture or an id which another role has is no sign of it.

SQLite has no roles and stays as it is: its file's mode says who may read it.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = (
    "sessions",
    "turns",
    "pictures",
    "thumbnails",
    "session_pictures",
    "turn_pictures",
    "drafts",
    "draft_pictures",
)
_REFERRED = ("sessions", "pictures", "drafts")
_UNIQUE = (("sessions", "id"), ("turns", "id"), ("pictures", "sha256"))
# table, column, table that it refers to, what happens when that row goes
_REFERENCES = (
    ("turns", "session_key", "sessions", " ON DELETE CASCADE"),
    ("session_pictures", "session_key", "sessions", " ON DELETE CASCADE"),
    ("drafts", "session_key", "sessions", " ON DELETE CASCADE"),
    ("thumbnails", "picture_key", "pictures", " ON DELETE CASCADE"),
    ("draft_pictures", "draft_key", "drafts", " ON DELETE CASCADE"),
    ("session_pictures", "picture_key", "pictures", ""),
    ("draft_pictures", "picture_key", "pictures", ""),
)
# Those that are new: turn_pictures referred to turns and numbers only.
_ADDED = (("turn_pictures", "session_key", "sessions", " ON DELETE CASCADE"),)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN owner name NOT NULL DEFAULT CURRENT_USER")
    for table, column in _UNIQUE:
        name = f"uq_{table}_{column}"
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE ({column}, owner)")
    for table in _REFERRED:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT uq_{table}_key_owner UNIQUE (key, owner)")
    for table, column, other, action in _REFERENCES:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT fk_{table}_{column}")
        _refer(table, column, other, action)
    for table, column, other, action in _ADDED:
        _refer(table, column, other, action)
    op.execute(_ONE_NEW_DRAFT)
    op.execute("CREATE UNIQUE INDEX uq_drafts_owner ON drafts (owner) WHERE session_key IS NULL")
    op.execute(
        "CREATE INDEX ix_sessions_owner_pinned_updated_key ON sessions "
        "(owner, pinned, updated, key) WHERE deleted IS NULL"
    )
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own ON {table} USING (owner = CURRENT_USER)")
    # Whatever was granted on all tables: only the tables' owner says what version they are.
    op.execute("ALTER TABLE alembic_version ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY all_read ON alembic_version FOR SELECT USING (true)")


def downgrade() -> None:
    """Take the owners away; it fails where two of them have the same picture or id."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("DROP POLICY all_read ON alembic_version")
    op.execute("ALTER TABLE alembic_version DISABLE ROW LEVEL SECURITY")
    for table in _TABLES:
        op.execute(f"DROP POLICY own ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute("DROP INDEX ix_sessions_owner_pinned_updated_key")
    op.execute("DROP INDEX uq_drafts_owner")
    for table, column, _, _ in (*_ADDED, *_REFERENCES):
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT fk_{table}_{column}")
    for table in _REFERRED:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT uq_{table}_key_owner")
    for table, column in _UNIQUE:
        name = f"uq_{table}_{column}"
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE ({column})")
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN owner")
    for table, column, other, action in _REFERENCES:
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_{column} "
            f"FOREIGN KEY ({column}) REFERENCES {other} (key){action}"
        )


def _refer(table: str, column: str, other: str, action: str) -> None:
    """Refer to a row of the same owner. Deferrable, so that an administrator can hand rows on."""
    op.execute(
        f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_{column} FOREIGN KEY ({column}, owner) "
        f"REFERENCES {other} (key, owner){action} DEFERRABLE INITIALLY IMMEDIATE"
    )


# Two windows may have left two drafts of a new chat: the older one was shown.
_ONE_NEW_DRAFT = """
DELETE FROM drafts WHERE session_key IS NULL
AND key <> (SELECT min(key) FROM drafts WHERE session_key IS NULL)
"""
