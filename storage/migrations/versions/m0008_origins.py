"""Pages of documents: the document, and the number of the page.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = ("session_pictures", "draft_pictures")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("origin", sa.JSON()))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "origin")
