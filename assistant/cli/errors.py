"""Error reporting: turn any exception into one sentence and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import NoReturn, TextIO

import click
from click.exceptions import NoArgsIsHelpError

from assistant.cli.common import print_json
from assistant.values.errors import PhichatError
from assistant.values.text import one_line, plain

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class StoppedError(PhichatError):
    """The user stopped a command with ctrl-C; exit code 130."""

    code = "interrupted"


@contextmanager
def reported_errors(words: Sequence[str], commands: Collection[str] = ()) -> Iterator[None]:
    """Report the exception that the command line of ``words`` ends in, and exit.

    Its first word may be one of ``commands``.

    The sentence goes to stderr, with ``--json`` or ``--stream-json`` as an object to stdout, too.
    Wrong usage is exit code 2, ctrl-C 130, anything else 1: output that can't be written (a full
    disk) too. Click itself handles a closed pipe (``| head -1``): 1, without a message.
    """
    _replace_closed_streams()
    words = tuple(takewhile(lambda word: word != "--", words))  # no options stand after it
    try:
        yield
    except PhichatError as error:
        _end(words, error.code, str(error), 130 if isinstance(error, StoppedError) else 1)
    except NoArgsIsHelpError as error:  # “phichat sessions” alone
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _end(words, "usage", _usage_words(error, words, commands), error.exit_code)
    except click.Abort as error:
        if error.__cause__ is None:  # click.confirm was asking: its line is still open
            click.echo(err=True)
        if isinstance(error.__context__, KeyboardInterrupt):
            _end(words, "interrupted", "Stopped.", 130)
        _end(words, "unanswered", "No answer came, so nothing was done.")
    except OSError as error:
        if error.filename is not None and error.strerror:
            place = one_line(str(error.filename), 200)
            sentence = f"{place} can't be used ({error.strerror}): check its permissions."
            _end(words, "file", sentence)
        if error.errno not in _UNWRITABLE:
            raise
        _discard(sys.stdout)
        sentence = (
            f"Standard output can't be written ({error.strerror}): make room, or choose another "
            "place."
        )
        _end((), "output", sentence)


def _usage_words(
    error: click.ClickException, words: Sequence[str], commands: Collection[str]
) -> str:
    """Say what was typed wrongly, what may have been meant, and where the right way stands."""
    context = getattr(error, "ctx", None)
    named = f"phichat {words[0]}" if words and words[0] in commands else "phichat"
    path = named if context is None else context.command_path
    meant: Sequence[str] = getattr(error, "possibilities", None) or ()
    what = error.message if meant else error.format_message()
    what = one_line(what).rstrip(".")
    if what.partition(" ")[0].isalpha():  # a file's name, or an option, stays as it is
        what = what[:1].upper() + what[1:]
    if not meant:
        return f"{what}; see: {path} --help"
    return f"{what}; did you mean {' or '.join(meant)}? See: {path} --help"


def _end(words: Sequence[str], code: str, sentence: str, exit_code: int = 1) -> NoReturn:
    error = {"code": code, "message": sentence}
    if "--json" in words:
        print_json({"error": error})
    elif "--stream-json" in words:
        print_json({"event": "failed", "error": error})
    try:
        click.echo(plain(sentence), err=True)
    except OSError:  # stderr is closed, too
        _discard(sys.stderr)
    sys.exit(exit_code)


def _discard(stream: TextIO) -> None:
    """Drop the text that ``stream`` still holds: Python would fail to write it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _replace_closed_streams() -> None:
    """Treat a closed stream (``<&-``) as empty; else a database could get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
