"""Run by Alembic, inside the one transaction of the caller, which Alembic leaves alone.

SQLite rolls back changes of tables as it does changes of rows, so a migration
that fails half-way leaves the database as it was.
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
