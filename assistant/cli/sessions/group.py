"""``phichat sessions``: the stored sessions."""

from __future__ import annotations

import click

from assistant.cli.group import CommandGroup
from assistant.cli.sessions.change import delete, fork, rename, restore, share
from assistant.cli.sessions.exchange import backup, export, import_
from assistant.cli.sessions.show import list_, pictures, search, show


@click.group(cls=CommandGroup)
def sessions() -> None:
    """Look at, change, export and import what is stored.

    CHAT is the id of a chat, or as much of its beginning as is unique.

    \b
    phichat sessions list
    phichat sessions search "red circle"
    phichat sessions export 4f2k -o talk.html
    """


for command in (
    list_, show, search, pictures, rename, fork, delete, restore, share, export, import_, backup
):  # fmt: skip
    sessions.add_command(command)
