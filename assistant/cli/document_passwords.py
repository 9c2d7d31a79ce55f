"""Question for the password of a document, where a terminal can be asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from assistant.values.text import one_line


def ask_for_passwords(ask: Callable[[str], str] | None = None) -> None:
    """Have documents that need a password ask for it, if there is a terminal to ask.

    ``ask`` gets the name of a document and returns the answer; by default a line is read.
    """
    if sys.stdin.isatty() and sys.stderr.isatty():
        from assistant.pictures.passwords import PASSWORDS

        PASSWORDS.ask = ask or _read_line


def ask_no_more() -> None:
    """Refuse documents that need a password which was not typed yet."""
    from assistant.pictures.passwords import PASSWORDS

    PASSWORDS.ask = None


def question(name: str) -> str:
    """Return the words that ask for the password of a document."""
    return f"Password of {one_line(name, 60)}, typed unseen (not kept; enter alone gives up): "


@contextmanager
def unseen(words: str) -> Iterator[None]:
    """Write ``words``; what is typed meanwhile is not shown."""
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    hidden = [*before]
    hidden[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, hidden)
    try:
        click.echo(words, nl=False, err=True)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        click.echo(err=True)


def _read_line(name: str) -> str:
    with unseen(question(name)):
        return sys.stdin.readline().strip("\n")
