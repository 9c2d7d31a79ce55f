"""How a command line ends that does not end well: one sentence, and the contract's exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import click
from click.exceptions import NoArgsIsHelpError

from assistant.cli.common import fail, give_up
from assistant.values.text import one_line

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


@contextmanager
def told(words: Sequence[str]) -> Iterator[None]:
    """Tell what the command line of ``words`` ends in, unless a command has told it.

    Wrong usage is exit code 2, ctrl-C 130; output that nobody can take (a full
    disk) is 1. A reader that went away (``| head -1``) is click's: 1, no word.
    """
    _replace_closed_streams()
    end = partial(fail, as_json="--json" in words, in_lines="--stream-json" in words)
    try:
        yield
    except NoArgsIsHelpError as error:  # “phichat sessions” alone
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        path = getattr(getattr(error, "ctx", None), "command_path", "phichat")
        what = one_line(error.format_message()).rstrip(".")
        sentence = f"{what[:1].upper()}{what[1:]}; see: {path} --help"
        end("usage", sentence, exit_code=error.exit_code)
    except click.Abort as error:
        if error.__cause__ is None:  # click.confirm was asking: its line is still open
            click.echo(err=True)
        if isinstance(error.__context__, KeyboardInterrupt):
            end("interrupted", "Stopped.", exit_code=130)
        end("unanswered", "No answer came, so nothing was done.")
    except OSError as error:
        if error.filename is not None or error.errno not in _UNWRITABLE:
            raise
        give_up(sys.stdout)
        fail(
            "output",
            f"Standard output can't be written ({error.strerror}): make room, or choose another "
            "place.",
            as_json=False,
        )


def _replace_closed_streams() -> None:
    """A closed stream (``<&-``) is as good as empty; else a database could get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
