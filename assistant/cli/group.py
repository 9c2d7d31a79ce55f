"""Groups of commands: the lists of their help are whole sentences."""

from __future__ import annotations

import click

_WHOLE = 1000
"""Characters of a first sentence that are shown; Click cuts where its line ends."""


class CommandGroup(click.Group):
    """A group whose help says of each command what its first sentence says."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(_WHOLE)) for name, one in self.commands.items()]
            )
