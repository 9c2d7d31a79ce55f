"""What every command shares: errors told plainly, the engine, options, JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TextIO, TypeVar, get_args

import click

from assistant.cli import completion_words as completing
from assistant.values.errors import PhichatError
from assistant.values.formats import MAX_CONTEXT, KVFormat, WeightFormat
from assistant.values.text import plain

if TYPE_CHECKING:  # --help and completion load neither
    from assistant.engine import Engine
    from assistant.settings import Settings
    from assistant.values.conversation import PictureFile

P = ParamSpec("P")
R = TypeVar("R")


def told_plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Errors as one sentence on stderr (and as JSON on stdout where asked for), exit code 1.

    What else may go wrong is told in :mod:`assistant.cli.errors`.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except PhichatError as error:
            fail(
                error.code,
                str(error),
                as_json=bool(kwargs.get("as_json")),
                in_lines=bool(kwargs.get("stream_json")),
            )

    return run


def fail(
    code: str, message: str, *, as_json: bool, in_lines: bool = False, exit_code: int = 1
) -> NoReturn:
    """Tell an error and end; ``in_lines`` is for what prints its events as lines of JSON."""
    error = {"code": code, "message": message}
    if as_json:
        print_json({"error": error})
    elif in_lines:
        print_json({"event": "failed", "error": error})
    try:
        click.echo(plain(message), err=True)
    except OSError:  # nobody can be told
        give_up(sys.stderr)
    sys.exit(exit_code)


def give_up(stream: TextIO) -> None:
    """What ``stream`` still holds goes nowhere when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Text(click.ParamType[str]):
    """Words. A shell hands on any bytes; those that are no UTF-8 are refused."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return os.fsencode(value).decode("utf-8")
        except UnicodeError:
            self.fail("it is not UTF-8 text", param, ctx)


TEXT = _Text()
"""The type of what a person says or calls something; paths may be any bytes."""


@contextmanager
def opened_engine(**overrides: object) -> Iterator[tuple[Engine, Settings]]:
    from assistant.engine import open_engine
    from assistant.settings import load

    chosen = load(overrides)
    engine = open_engine(chosen)
    try:
        yield engine, chosen
    finally:
        engine.close()


def whole_path(model: str) -> str:
    """A folder by its whole path: chats and settings remember it, and may start elsewhere."""
    folder = os.path.expanduser(model)
    return os.path.abspath(folder) if model != "demo" and os.path.isdir(folder) else model


def _model(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else whole_path(value)


model_option = click.option(
    "--model", metavar="MODEL", callback=_model,
    help="“demo”, a model folder, a Hugging Face id, or http(s)://… for a server.",
    shell_complete=completing.models,
)  # fmt: skip


def memory_options(command: Callable[P, R]) -> Callable[P, R]:
    """What changes the memory plan; a command hands these on to :func:`opened_engine`."""
    for option in reversed(
        (
            click.option(
                "--weights", type=click.Choice(get_args(WeightFormat)),
                help="How the model's matrices are held; int8 takes half of bfloat16.",
            ),
            click.option(
                "--kv", type=click.Choice(get_args(KVFormat)),
                help="How keys and values are held; int8 holds twice the tokens, int4 three times.",
            ),
            click.option(
                "--context", type=click.IntRange(1, MAX_CONTEXT), metavar="N",
                help="Most tokens of conversation and reply together.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def session_option(help: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """``--session ID``."""
    return click.option(
        "--session", metavar="ID", type=TEXT, help=help, shell_complete=completing.session_ids
    )


continue_option = click.option(
    "--continue", "go_on", is_flag=True, help="Go on in the session used last."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
pictures_option = click.option(
    "-i", "--image", "images", metavar="PICTURE", multiple=True,
    help="A picture file, an http(s) URL, or - for standard input; may be repeated.",
    shell_complete=completing.pictures,
)  # fmt: skip


def open_picture(
    engine: Engine, source: str, watch: Callable[[int, int], None] | None = None
) -> PictureFile:
    """A picture as ``-i`` names it; ``watch`` follows a fetch (see :meth:`Engine.open_picture`)."""
    if source == "-":
        return engine.pictures.open_bytes(sys.stdin.buffer.read(), "standard input")
    return engine.pictures.open(source, watch)


# What json leaves as it is and a terminal would obey, or no encoding takes: C1 controls, delete,
# bidirectional overrides, halves of characters. They stand inside of strings, where \u is valid.
_OBEYED = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def print_json(value: object) -> None:
    """One line of JSON; whatever its strings hold, a terminal shows it and does nothing."""
    text = json.dumps(value, ensure_ascii=False)
    click.echo(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
