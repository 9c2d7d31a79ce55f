"""``phichat serve``: the same app in a browser."""

from __future__ import annotations

import os
import re

import click

from assistant.cli.options import WholeNumber
from assistant.values.errors import PhichatError
from assistant.values.words import pip_install


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Where to listen. There is no encryption: see above.")  # fmt: skip
@click.option("--port", type=WholeNumber(1, 65535), default=8000, show_default=True,
              metavar="N", help="On which port.")  # fmt: skip
@click.option("--public-url", metavar="URL",
              help="The address that browsers use, where a proxy stands in front.")  # fmt: skip
def serve(host: str, port: int, public_url: str | None) -> None:
    """The same app in a browser, until ctrl-C.

    Needs textual-serve, and says how to install it. Open the printed address:
    it lets one browser in, and the next one is printed then. Every tab is a
    terminal of its own; they share one model and one list of chats. Drop or
    paste pictures on it, or use its button. An app whose page was lost goes on
    for ten minutes; loading the page again takes it up. Keep it on 127.0.0.1,
    and use an SSH tunnel or an HTTPS proxy from elsewhere.

    \b
    phichat serve
    phichat serve --port 9000
    phichat serve --public-url https://pictures.example.org
    """
    try:
        from assistant.cli.browser_server import GuardedServer
    except ImportError:
        raise PhichatError(
            "phichat serve needs textual-serve: run "
            f"{pip_install('textual-serve==1.1.3')}, then try again."
        ) from None
    is_address = public_url is None or re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", public_url)
    try:
        if not is_address:
            raise ValueError
        server = GuardedServer(host, port, public_url)
    except ValueError:
        raise PhichatError(
            "--public-url is an address such as https://pictures.example.org or "
            "https://example.org/pictures."
        ) from None
    try:
        server.serve()
    except OSError as error:
        number = error.errno or 0  # negative for a name that is unknown
        reason = os.strerror(number) if number > 0 else error.strerror
        raise PhichatError(
            f"phichat can't listen on {host}:{port} ({reason}); choose another --port or --host."
        ) from None
