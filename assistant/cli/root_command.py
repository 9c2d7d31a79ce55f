"""The command line: results on stdout, everything else on stderr.

Exit codes: 0 done, 1 the request failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.exceptions import NoSuchCommand

from assistant import __version__
from assistant.cli.common import COLLECTION, SELDOM

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "chat": ("chat:chat", "The terminal app: chats on the left, the open one on the right."),
    "ask": ("ask:ask", "Ask one question; the answer goes to standard output."),
    "batch": ("batch:batch", "Ask one question about every picture of a folder."),
    "prompt": ("prompt:show_prompt", "What the model would see: token ids, picture slots, budget."),
    "sessions": ("sessions.group:sessions", "Look at, change, export and import what is stored."),
    "models": ("models:models", "See, fetch, check and choose models."),
    "config": ("config:config", "Look at and change the settings."),
    "doctor": ("doctor:doctor", "What this machine can run, and why not."),
    "serve": ("serve:serve", "The same app in a browser, until ctrl-C."),
    "completion": ("completion:completion", "Print a script that lets a shell complete phichat."),
}
"""Name -> (module:function, first sentence). A command's module is imported when it is used."""


class _Commands(click.Group):
    """A group whose modules are imported when a command runs, not when it is listed."""

    def main(self, args: Sequence[str] | None = None, **options: Any) -> NoReturn:  # type: ignore[override]
        """Run click's own, with errors as the command line's contract has them."""
        from assistant.cli.errors import reported_errors

        words = sys.argv[1:] if args is None else list(args)
        with reported_errors(words, COMMANDS):
            super().main(args, **{**options, "standalone_mode": False})
        sys.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"assistant.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Open the app with pictures where one stands in the place of a command.

        One that is not there is the app's to report: a picture's name is no mistyped command.
        """
        if args[0] not in COMMANDS:
            from assistant.pictures.dropped import names_picture

            if names_picture(args[0]):
                return "chat", self.get_command(ctx, "chat"), args
            if not args[0].startswith("-"):
                raise NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take options of the app where no command is named: ``phichat --model demo`` opens it."""
        before = list(takewhile(lambda word: word not in COMMANDS, args))
        if any(word.startswith("--") for word in before):
            chat = self.get_command(ctx, "chat")
            assert chat is not None, "the app is a command"
            own = {name for one in chat.params for name in one.opts} - {"--last"}
            found = next((word for word in before if word.partition("=")[0] in own), None)
            if found is not None and before == args:
                args = ["chat", *args]
            elif found is not None:
                words = f"{found} goes behind the command: phichat {args[len(before)]} {found}"
                raise click.UsageError(words, ctx)
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        offers = [
            CompletionItem(name, help=does)
            for name, (_, does) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        if incomplete and not incomplete.startswith("-"):  # a picture stands there too
            from assistant.cli.completion_words import picture_paths

            offers += picture_paths(incomplete)
        return offers + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in COMMANDS.items()])


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("-c", "--last", is_flag=True, help="Open the app and go on with the last chat.")
@click.version_option(__version__, prog_name="phichat")
@click.pass_context
def cli(context: click.Context, last: bool) -> None:
    """Talk about pictures with Phi-3-vision, on your own machine.

    Without a command: the terminal app.

    \b
    phichat                                   the app
    phichat -c                                the app, with the last chat
    phichat holiday.jpg                       the app, with a picture attached
    phichat --model demo                      the app, with options of phichat chat
    phichat ask -i chart.png "What is this?"  one answer on standard output
    phichat ask --continue "And the axis?"    the next question of that chat
    """
    if context.invoked_subcommand is None:
        from assistant.cli.chat import chat

        context.invoke(chat, last=last)
    elif last:
        raise click.UsageError("-c goes with no command: phichat -c")


def main() -> None:
    """The ``phichat`` command."""
    if "_PHICHAT_COMPLETE" in os.environ:  # a shell asks what a word could become
        from assistant.cli.completion_scripts import register

        register()
    for stream in (sys.stdin, sys.stdout, sys.stderr):  # a terminal may know few characters
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    gc.set_threshold(SELDOM, *COLLECTION[1:])
    cli(prog_name="phichat")
