"""Options and arguments that several commands share, most of them made from the settings."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, TypeVar

import click

from assistant.cli import completion_words as completing
from assistant.cli.common import whole_path
from assistant.settings.schema import SETTABLE
from assistant.values.sampling import PARAMETERS
from assistant.values.schema import read_schema
from assistant.values.setting import Setting

F = TypeVar("F", bound=Callable[..., Any])


class _Text(click.ParamType[str]):
    """Text in UTF-8. A shell passes any bytes; others are refused."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return os.fsencode(value).decode("utf-8")
        except UnicodeError:
            self.fail("it is not UTF-8 text", param, ctx)


class _Number(click.FloatRange):
    """A number of a range, which "nan" is not: every comparison with it is false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return super().convert(value, param, ctx)


class WholeNumber(click.IntRange):
    """A whole number of a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number", param, ctx)
        return super().convert(value, param, ctx)


TEXT = _Text()
"""The type of messages, titles and ids; paths may be any bytes."""


def setting_option(one: Setting, **more: Any) -> Callable[[F], F]:
    """The option of a setting or sampling parameter."""
    return click.option(
        f"--{one.name.replace('_', '-')}",
        type=_option_type(one),
        metavar=one.metavar or None,
        help=one.option,
        multiple=tuple in one.kinds,
        **more,
    )


def _option_type(one: Setting) -> click.ParamType[Any]:
    if one.choices:
        return click.Choice(one.choices)
    if one.number is None:
        return TEXT
    kind = WholeNumber if one.number is int else _Number
    return kind(one.lowest, one.highest, min_open=one.is_above)


def _options_of(table: Iterable[Setting]) -> Callable[[F], F]:
    options = [
        setting_option(one, shell_complete=completing.files if one.name == "schema" else None)
        for one in table
        if one.option
    ]
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)


sampling_options = _options_of(PARAMETERS.values())
"""They override the session's own values and the settings."""


def taken_sampling(chosen: dict[str, Any]) -> dict[str, Any]:
    """Take the sampling parameters out of a command's options, the schema read.

    Raises UsageError for an empty text, as an unset variable of a shell is, and SchemaError.
    """
    sampling = {name: chosen.pop(name) for name in PARAMETERS}
    if "" in sampling["stop"]:
        raise click.UsageError("--stop needs a text")
    if sampling["schema"] == "":
        raise click.UsageError("--schema needs a schema")
    if sampling["schema"] is not None:
        sampling["schema"] = read_schema(sampling["schema"])
    return sampling


engine_options = _options_of(
    sorted(
        (one for name, one in SETTABLE.items() if name not in ("model", *PARAMETERS)),
        key=lambda one: one.number is not None,
    )
)
"""The settings with an option, for :func:`assistant.cli.common.opened_engine`."""


def _absolute(context: click.Context, parameter: click.Parameter, model: str | None) -> str | None:
    return None if model is None else whole_path(model)


model_option = setting_option(
    SETTABLE["model"], callback=_absolute, shell_complete=completing.models
)


def session_option(help: str, metavar: str = "ID") -> Callable[[F], F]:
    """``--session ID``."""
    return click.option(
        "--session", metavar=metavar, type=TEXT, help=help, shell_complete=completing.session_ids
    )


session_argument = click.argument(
    "session", metavar="CHAT", type=TEXT, shell_complete=completing.session_ids
)


def limit_option(default: int) -> Callable[[F], F]:
    """``--limit N``."""
    return click.option(
        "--limit", type=WholeNumber(1, 1_000_000), metavar="N", default=default,
        show_default=True, help="How many at most.",
    )  # fmt: skip


continue_option = click.option(
    "--continue", "go_on", is_flag=True, help="Go on in the chat used last."
)
shared_option = click.option(
    "--shared", is_flag=True, help="Chats that other users of the database share, not yours."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
pictures_option = click.option(
    "-i", "--image", "images", metavar="PICTURE", multiple=True,
    help="A picture file, an http(s) or data: URL, or - for standard input; may be repeated. "
    "photo.jpg@left,top,width,height is a part of it, in pixels or percent, "
    "report.pdf#2-4 are pages, clip.mp4#0:05 is a moment.",
    shell_complete=completing.pictures,
)  # fmt: skip
