"""``phichat`` and ``phichat chat``: the terminal app."""

from __future__ import annotations

import click

from assistant.cli import completing
from assistant.cli.common import (
    memory_options,
    model_option,
    opened_engine,
    session_option,
    told_plainly,
)


@click.command()
@session_option("Open this session (the start of its id is enough).")
@click.option("--last", is_flag=True, help="Open the session used last.")
@model_option
@memory_options
@click.argument("pictures", metavar="[PICTURE]...", nargs=-1, shell_complete=completing.pictures)
@told_plainly
def chat(
    session: str | None = None,
    last: bool = False,
    model: str | None = None,
    pictures: tuple[str, ...] = (),
    **memory: object,
) -> None:
    """The terminal app: sessions on the left, the chat on the right.

    \b
    phichat chat holiday.jpg         a new chat, with a picture attached
    phichat chat --last              where you left off
    phichat chat --model demo        with another model, this once
    """
    if session is not None and last:
        raise click.UsageError("--session and --last exclude each other")
    with opened_engine(model=model, **memory) as (engine, chosen):
        session_id = engine.latest_session() if last else None
        if session is not None:
            session_id = engine.find_session(session)
        from tui import terminal
        from tui.app import make_app  # Textual is for this command alone

        graphics = terminal.choose(chosen.pictures)
        make_app(engine, chosen, session_id=session_id, pictures=pictures, graphics=graphics).run()
