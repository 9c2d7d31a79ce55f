"""Parts of pictures: the rectangle, and the picture that it was cut from.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = ("session_pictures", "draft_pictures")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("region", sa.JSON()))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "region")
