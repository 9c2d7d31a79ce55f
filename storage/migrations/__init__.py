"""Database migrations, run by Alembic.

Alembic is imported only for a database that is not at :data:`NEWEST`, which one query finds out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from alembic.config import Config

KNOWN = tuple(sorted(file.name[1:5] for file in (Path(__file__).parent / "versions").glob("m*.py")))
"""Every revision, oldest first: the digits in the names of the files."""

NEWEST = KNOWN[-1]


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the database up to ``revision`` inside the transaction of ``connection``."""
    from alembic import command

    command.upgrade(config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take the database back to ``revision`` ("base": no tables) in the caller's transaction."""
    from alembic import command

    command.downgrade(config(connection), revision)


def config(connection: Connection | None = None) -> Config:
    """Make Alembic's configuration, without an ``alembic.ini`` on disk."""
    from alembic.config import Config

    made = Config()
    # "%" would be read as the start of an interpolation.
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made
