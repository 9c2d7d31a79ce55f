"""``phichat`` and ``phichat chat``: the terminal app."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from assistant.cli import completion_words as completing
from assistant.cli.common import COLLECTION, opened_engine, own_model, stay_with_model
from assistant.cli.options import engine_options, model_option, session_option
from assistant.values.errors import PhichatError

if TYPE_CHECKING:
    from tui.app import PhichatApp

LEAVING_S = 1.0
"""Longest wait, after the app, for the worker's connection, the database and threads."""

QUITTING_S = 2.0
"""Longest wait from the key that quits to the end of the process, whatever hangs. The promise is
three seconds, and a busy machine takes one to hear the key."""

GIVING_S = 0.5
"""Longest wait for a terminal that reads nothing (ctrl+s, a connection that hangs)."""


@click.command()
@session_option("Open this chat (the start of its id is enough).")
@click.option("-c", "--last", is_flag=True, help="Go on with the last chat.")
@click.option(
    "--plain", is_flag=True,
    help="Line by line, without boxes, colours or cursor movement: for screen readers.",
)  # fmt: skip
@model_option
@engine_options
@click.argument("pictures", metavar="[PICTURE]...", nargs=-1, shell_complete=completing.pictures)
def chat(
    session: str | None = None,
    last: bool = False,
    plain: bool = False,
    model: str | None = None,
    pictures: tuple[str, ...] = (),
    **memory: object,
) -> None:
    """The terminal app: chats on the left, the open one on the right.

    \b
    phichat chat holiday.jpg         a new chat, with a picture attached
    phichat chat --last              where you left off
    phichat chat --model demo        with another model, this once
    phichat chat --plain             line by line; /help lists its commands
    """
    if session is not None and last:
        raise click.UsageError("--session and --last exclude each other")
    gc.disable()
    gc.set_threshold(*COLLECTION)
    try:
        with opened_engine(model=model, **memory) as (engine, chosen):
            session_id = engine.store.latest_session() if last else None
            if session is not None:
                session_id = engine.store.find_session(session)
            if plain:
                from assistant.cli.plain_chat import PlainChat
                from assistant.cli.plain_commands import COMMANDS

                stay_with_model(engine, session_id, model)
                PlainChat(engine, COMMANDS, session_id).run(pictures)
                return
            _must_be_seen()
            if own := own_model(engine, session_id, model):
                engine.model.begin_with(own)  # the app says so where that can't answer
            from tui.app import PhichatApp  # Textual is for this command alone
            from tui.terminal import detect as terminal
            from tui.themes import ANSI, AUTO_THEME

            needs_background = chosen.theme in (AUTO_THEME, ANSI.name)
            graphics = terminal.choose(chosen.pictures, needs_background=needs_background)
            app = PhichatApp(
                engine, chosen, session_id=session_id, pictures=pictures, graphics=graphics
            )
            app.on_leaving = partial(_end_within, QUITTING_S, app)
            gc.freeze()
            gc.enable()
            # never closed: that would wait for threads, which may hang at a disk or a database
            asyncio.Runner().run(_run(app))
            app.has_terminal = False
            if app.last_words:
                click.echo(app.last_words, err=True)
            _end_within(LEAVING_S, app)
            if app.exit_code:
                sys.exit(app.exit_code)
    finally:
        gc.enable()


async def _run(app: PhichatApp) -> None:
    """Run the app; a signal that ends it ends it as the key does that quits."""
    loop = asyncio.get_running_loop()

    def end(number: int, _: object) -> None:
        _end_within(QUITTING_S, app)  # where the loop hangs, too
        loop.call_soon_threadsafe(app.end_by_signal, number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, end)
    await app.run_async()


def _end_within(seconds: float, app: PhichatApp) -> None:
    """Give the terminal back and end the process then, whatever its threads wait for."""

    def give_back() -> None:
        with suppress(Exception):
            app.give_terminal_back()
            sys.stderr.flush()

    def end() -> None:
        giving = threading.Thread(target=give_back, daemon=True)
        giving.start()
        giving.join(GIVING_S)
        os._exit(app.exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _must_be_seen() -> None:
    """Require a terminal, or the driver of phichat serve: the app reads keys and paints there."""
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not (is_terminal or os.environ.get("TEXTUAL_DRIVER")):
        raise PhichatError(
            "The app needs a terminal, and this is none: phichat ask answers without one."
        )
    if is_terminal and os.environ.get("TERM") == "dumb":
        raise PhichatError(
            "This terminal says that it draws nothing (TERM=dumb): phichat chat --plain goes line "
            "by line."
        )
