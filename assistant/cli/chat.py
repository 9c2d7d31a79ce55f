"""``phichat`` and ``phichat chat``: the terminal app."""

from __future__ import annotations

import click

from assistant.cli.common import memory_options, model_option, opened_engine, told_plainly


@click.command()
@click.option("--session", metavar="ID", help="Open this session (the start of its id is enough).")
@click.option("--last", is_flag=True, help="Open the session used last.")
@model_option
@memory_options
@click.argument("pictures", metavar="[PICTURE]...", nargs=-1)
@told_plainly
def chat(
    session: str | None = None,
    last: bool = False,
    model: str | None = None,
    pictures: tuple[str, ...] = (),
    **memory: object,
) -> None:
    """The terminal app: sessions on the left, the chat on the right."""
    if session is not None and last:
        raise click.UsageError("--session and --last exclude each other")
    with opened_engine(model=model, **memory) as (engine, chosen):
        session_id = engine.latest_session() if last else None
        if session is not None:
            session_id = engine.find_session(session)
        from tui.app import make_app  # Textual is for this command alone

        make_app(engine, chosen, session_id=session_id, pictures=pictures).run()
