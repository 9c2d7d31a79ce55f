"""``phichat config``: the settings, their sources, and the configuration file."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import click

from assistant.cli.common import print_json
from assistant.cli.completion_words import setting_names, setting_values
from assistant.cli.group import CommandGroup
from assistant.cli.options import TEXT, json_option
from assistant.values.errors import PhichatError
from assistant.values.text import masked, one_line


@click.group(cls=CommandGroup)
def config() -> None:
    """Look at and change the settings.

    Defaults, then the configuration file, then PHICHAT_* variables, then flags.

    \b
    phichat config show
    phichat config set max_new_tokens 300
    phichat config edit
    """


@config.command("show")
@json_option
def show_settings(as_json: bool) -> None:
    """Every setting: its value, and where that comes from.

    \b
    phichat config show
    phichat config show --json
    """
    from assistant.settings.load import load_with_origins
    from assistant.settings.schema import SETTABLE
    from assistant.values.setting import as_typed, shown

    chosen, origins = load_with_origins()
    if as_json:
        values = {
            name: {"value": _public(chosen.value(name)), "from": origins[name]} for name in SETTABLE
        }
        print_json({"file": str(chosen.config_file), "settings": values})
        return
    for name in SETTABLE:
        value = chosen.value(name)
        text = as_typed(value) if isinstance(value, dict) else one_line(shown(value), 50)
        click.echo(f"{name:20} {text:24} {one_line(origins[name])}".rstrip())


def _public(value: object) -> object:
    return masked(value) if isinstance(value, str) else value


@config.command(
    help="""Where the configuration file is, or would be.

    \b
    phichat config path
    cat "$(phichat config path)"
    """
)
@json_option
def path(as_json: bool) -> None:
    """Print the path of the configuration file."""
    from assistant.settings.load import config_file

    file = config_file()
    if as_json:
        print_json({"file": str(file), "exists": os.path.exists(file)})
    else:
        click.echo(file)


@config.command()
def edit() -> None:
    """Open the configuration file in $VISUAL or $EDITOR, then check it.

    Where there is none yet, one is written first: every setting with its meaning
    and default, commented out. A mistake is reported and the file kept as it is.

    \b
    phichat config edit
    EDITOR="code --wait" phichat config edit
    """
    from assistant.settings.file import write_template
    from assistant.settings.load import check_file, config_file

    file = config_file()
    if not os.path.exists(file):
        write_template(file)
    _edit(file)
    check_file(file)
    click.echo(f"{file} is in order.", err=True)


def _edit(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PhichatError(
            f"The editor {one_line(editor)} can't be started ({reason}); set VISUAL or EDITOR, or "
            f"change {file} with any other."
        ) from None
    if code != 0:
        raise PhichatError(f"The editor {one_line(editor)} ended with exit code {code}.")


@config.command("set", context_settings={"ignore_unknown_options": True})  # -5 is a value
@click.argument("name", type=TEXT, shell_complete=setting_names)
@click.argument("value", type=TEXT, shell_complete=setting_values)
def set_(name: str, value: str) -> None:
    """Write one setting into the configuration file; the rest of it stays as it is.

    What else is wrong there is said, and can be mended one setting at a time.

    \b
    phichat config set max_new_tokens 300
    phichat config set system "Answer in one sentence."
    """
    from assistant.settings.file import write_setting
    from assistant.settings.load import config_file, read_value
    from assistant.settings.schema import PREFIX

    write_setting(config_file(), name, read_value(name, value))
    variable = PREFIX + name.upper()
    if os.environ.get(variable):
        click.echo(f"{variable} is set and goes before it: unset it.", err=True)
    _report_faults(f"{name} is written")


def _report_faults(done: str) -> None:
    """Say what else keeps the settings from being used, after what was ``done``."""
    from assistant.settings.load import load
    from assistant.settings.schema import SettingsError

    try:
        load()
    except SettingsError as fault:
        click.echo(f"{done}, but the settings can't be used yet. {fault}", err=True)


@config.command()
@click.argument("name", type=TEXT, shell_complete=setting_names)
def unset(name: str) -> None:
    """Take one setting out of the configuration file: its default is in force again.

    A key that is no setting of phichat can be taken out, too.

    \b
    phichat config unset max_new_tokens
    """
    from assistant.settings.file import remove_setting
    from assistant.settings.load import config_file

    remove_setting(config_file(), name)
    _report_faults(f"{one_line(name, 60)} is taken out")
