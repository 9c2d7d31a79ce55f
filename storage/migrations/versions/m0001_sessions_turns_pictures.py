"""Sessions, turns as a tree, pictures by content.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "pictures",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("pixels_sha256", sa.String(64), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_pictures"),
        sa.UniqueConstraint("sha256", name="uq_pictures_sha256"),
    )
    op.create_table(
        "sessions",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.Column("updated", moment, nullable=False),
        sa.Column("model", sa.Text()),
        sa.Column("system", sa.Text()),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("head_key", sa.Integer()),
        sa.PrimaryKeyConstraint("key", name="pk_sessions"),
        sa.UniqueConstraint("id", name="uq_sessions_id"),
        # Sessions and turns refer to each other. SQLite takes the constraint before
        # the other table exists; elsewhere it is added at the end.
        sa.ForeignKeyConstraint(
            ["key", "head_key"],
            ["turns.session_key", "turns.key"],
            name="fk_sessions_head",
            use_alter=True,
        ),
    )
    op.create_index("ix_sessions_updated", "sessions", ["updated"])
    op.create_table(
        "turns",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("session_key", sa.Integer(), nullable=False),
        sa.Column("parent_key", sa.Integer()),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.Column("token_ids", sa.LargeBinary()),
        sa.Column("finish_reason", sa.String(16)),
        sa.Column("model", sa.Text()),
        sa.Column("usage", sa.JSON()),
        sa.Column("timings", sa.JSON()),
        sa.Column("writer", sa.Text()),
        sa.PrimaryKeyConstraint("key", name="pk_turns"),
        sa.UniqueConstraint("id", name="uq_turns_id"),
        sa.UniqueConstraint("session_key", "key", name="uq_turns_session_key_key"),
        sa.CheckConstraint("role IN ('system', 'user', 'assistant')", name="role"),
        sa.ForeignKeyConstraint(
            ["session_key"], ["sessions.key"], name="fk_turns_session_key", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_key", "parent_key"],
            ["turns.session_key", "turns.key"],
            name="fk_turns_parent",
        ),
    )
    op.create_index("ix_turns_session_key_parent_key", "turns", ["session_key", "parent_key"])
    op.create_index(
        "ix_turns_writer",
        "turns",
        ["writer"],
        sqlite_where=sa.text("writer IS NOT NULL"),
        postgresql_where=sa.text("writer IS NOT NULL"),
    )
    if op.get_bind().dialect.name != "sqlite":
        op.create_foreign_key(
            "fk_sessions_head", "sessions", "turns", ["key", "head_key"], ["session_key", "key"]
        )
    op.create_table(
        "session_pictures",
        sa.Column("session_key", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("picture_key", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session_key", "number", name="pk_session_pictures"),
        sa.ForeignKeyConstraint(
            ["session_key"],
            ["sessions.key"],
            name="fk_session_pictures_session_key",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["picture_key"], ["pictures.key"], name="fk_session_pictures_picture_key"
        ),
    )
    op.create_index("ix_session_pictures_picture_key", "session_pictures", ["picture_key"])
    op.create_table(
        "turn_pictures",
        sa.Column("turn_key", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("session_key", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("turn_key", "position", name="pk_turn_pictures"),
        sa.ForeignKeyConstraint(
            ["session_key", "turn_key"],
            ["turns.session_key", "turns.key"],
            name="fk_turn_pictures_turn",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["session_key", "number"],
            ["session_pictures.session_key", "session_pictures.number"],
            name="fk_turn_pictures_number",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_turn_pictures_session_key_number", "turn_pictures", ["session_key", "number"]
    )
    op.create_index(
        "ix_turn_pictures_session_key_turn_key", "turn_pictures", ["session_key", "turn_key"]
    )


def downgrade() -> None:
    op.drop_table("turn_pictures")
    op.drop_table("session_pictures")
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("fk_sessions_head", "sessions", type_="foreignkey")
    op.drop_table("turns")
    op.drop_table("sessions")
    op.drop_table("pictures")
