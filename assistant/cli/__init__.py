"""The command line. stdout carries results, stderr carries the rest.

Exit codes: 0 done, 1 the request failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import click

from assistant import __version__
from assistant.cli.ask import ask
from assistant.cli.chat import chat
from assistant.cli.doctor import doctor
from assistant.cli.prompt import show_prompt
from assistant.cli.sessions import sessions


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="phichat")
@click.pass_context
def cli(context: click.Context) -> None:
    """Talk about pictures with Phi-3-vision, on your own machine.

    Without a command: the terminal app.

    \b
    phichat                                  the app
    phichat chat holiday.jpg                 the app, with a picture attached
    phichat ask -i chart.png "What is this?" one answer on standard output
    phichat ask --continue "And the axis?"   the next question of that session
    """
    if context.invoked_subcommand is None:
        context.invoke(chat)


for command in (chat, ask, show_prompt, sessions, doctor):
    cli.add_command(command)


def main() -> None:
    """The ``phichat`` command."""
    cli(prog_name="phichat")
