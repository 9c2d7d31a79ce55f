"""``phichat serve``: the same app in a browser."""

from __future__ import annotations

import shlex
import sys

import click

from assistant.values.errors import PhichatError


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Where to listen; anyone who reaches it can use this phichat.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True,
              metavar="N", help="On which port.")  # fmt: skip
def serve(host: str, port: int) -> None:
    """The same app in a browser, until ctrl-C.

    Needs the extra “web” (pip install -e '.[web]'). Every tab is a terminal of
    its own; they share one model and one list of sessions. There is no
    password: keep it on 127.0.0.1, and use an SSH tunnel from elsewhere.

    \b
    phichat serve
    phichat serve --port 9000
    """
    try:
        from textual_serve.server import Server
    except ImportError:
        raise PhichatError(
            "phichat serve needs textual-serve: install it with: pip install -e '.[web]'"
        ) from None
    _must_be_free(host, port)
    command = shlex.join([sys.executable, "-m", "assistant.cli"])
    Server(command, host=host, port=port, title="phichat").serve()


def _must_be_free(host: str, port: int) -> None:
    """Refuse an address in use, because textual-serve would end in a traceback."""
    import socket

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise PhichatError(
            f"phichat can't listen on {host}:{port} ({error.strerror or error}); choose another "
            "--port or --host."
        ) from None
