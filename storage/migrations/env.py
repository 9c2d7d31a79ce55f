"""Alembic's environment: migrations inside the caller's transaction.

SQLite rolls back changes of tables like changes of rows, so a migration that fails half-way leaves
the database as it was.
"""

from __future__ import annotations

from alembic import context

from storage.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
