"""``phichat completion``: a completion script for a shell."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that lets a shell complete phichat.

    Commands, options, ids of chats with their titles, files, models and
    settings complete then.

    \b
    phichat completion bash > ~/.local/share/bash-completion/completions/phichat
    phichat completion fish > ~/.config/fish/completions/phichat.fish
    eval "$(phichat completion zsh)"          in ~/.zshrc, after compinit
    """
    from assistant.cli.completion_scripts import SHELLS, VARIABLE
    from assistant.cli.root_command import cli

    click.echo(SHELLS[shell](cli, {}, "phichat", VARIABLE).source(), nl=False)
