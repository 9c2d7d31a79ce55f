"""Pinned and excluded turns, parameters, summaries, thumbnails, drafts, deleting with undo.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Columns with constant defaults are added without rewriting a table.
    moment = sa.DateTime(timezone=True)
    op.add_column("sessions", sa.Column("parameters", sa.JSON()))
    op.add_column("sessions", sa.Column("summary", sa.JSON()))
    op.add_column("sessions", sa.Column("deleted", moment))
    op.create_index(
        "ix_sessions_pinned_updated_key",
        "sessions",
        ["pinned", "updated", "key"],
        sqlite_where=sa.text("deleted IS NULL"),
        postgresql_where=sa.text("deleted IS NULL"),
    )
    op.create_index(
        "ix_sessions_deleted",
        "sessions",
        ["deleted"],
        sqlite_where=sa.text("deleted IS NOT NULL"),
        postgresql_where=sa.text("deleted IS NOT NULL"),
    )
    op.add_column(
        "turns", sa.Column("kind", sa.String(16), nullable=False, server_default="message")
    )
    op.add_column("turns", _flag("pinned"))
    op.add_column("turns", _flag("excluded"))
    op.add_column("turns", sa.Column("parameters", sa.JSON()))
    op.add_column("session_pictures", sa.Column("num_crops", sa.Integer()))
    op.add_column("session_pictures", _flag("pinned"))
    op.create_table(
        "thumbnails",
        sa.Column("picture_key", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("picture_key", name="pk_thumbnails"),
        sa.ForeignKeyConstraint(
            ["picture_key"],
            ["pictures.key"],
            name="fk_thumbnails_picture_key",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "drafts",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("session_key", sa.Integer()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("updated", moment, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_drafts"),
        sa.UniqueConstraint("session_key", name="uq_drafts_session_key"),
        sa.ForeignKeyConstraint(
            ["session_key"], ["sessions.key"], name="fk_drafts_session_key", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "draft_pictures",
        sa.Column("draft_key", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("picture_key", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("num_crops", sa.Integer()),
        sa.PrimaryKeyConstraint("draft_key", "position", name="pk_draft_pictures"),
        sa.ForeignKeyConstraint(
            ["draft_key"], ["drafts.key"], name="fk_draft_pictures_draft_key", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["picture_key"], ["pictures.key"], name="fk_draft_pictures_picture_key"
        ),
    )
    op.create_index("ix_draft_pictures_picture_key", "draft_pictures", ["picture_key"])


def downgrade() -> None:
    # Deleted sessions come back: what can still be restored is not for a migration to destroy.
    op.drop_table("draft_pictures")
    op.drop_table("drafts")
    op.drop_table("thumbnails")
    for table, columns in (
        ("session_pictures", ("num_crops", "pinned")),
        ("turns", ("kind", "pinned", "excluded", "parameters")),
    ):
        for column in columns:
            op.drop_column(table, column)
    op.execute(_UNSHOWN)
    op.drop_index("ix_sessions_pinned_updated_key", "sessions")
    op.drop_index("ix_sessions_deleted", "sessions")
    for column in ("parameters", "summary", "deleted"):
        op.drop_column("sessions", column)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


# Pictures that only a draft showed.
_UNSHOWN = "DELETE FROM pictures WHERE key NOT IN (SELECT picture_key FROM session_pictures)"
