"""The probability of each token of a reply, and the runners-up, beside its ids.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turns", sa.Column("chances", sa.LargeBinary()))


def downgrade() -> None:
    op.drop_column("turns", "chances")
