"""The engine, pictures and JSON output for commands."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from assistant.cli.document_passwords import ask_for_passwords
from assistant.values.text import plain_json

if TYPE_CHECKING:  # --help and completion load neither
    from assistant.engine.engine import Engine
    from assistant.settings.schema import Settings
    from assistant.values.conversation import PictureFile
    from storage.store import Store


COLLECTION = gc.get_threshold()
"""As Python starts."""

SELDOM = 200_000
"""Objects between two looks for garbage in a command. Imports make none, and looking for some takes
a tenth of a start: a command that asks or lists makes 100,000 in all."""


@contextmanager
def opened_engine(**overrides: object) -> Iterator[tuple[Engine, Settings]]:
    """Open the engine, and close it afterwards; ``overrides`` are flags."""
    from assistant.engine.open import open_engine
    from assistant.settings.load import load

    chosen = load(overrides)
    engine = open_engine(chosen)
    try:
        yield engine, chosen
    finally:
        engine.close()


@contextmanager
def opened_store(*, shared: bool = False) -> Iterator[Store]:
    """Open what is stored, and no more: neither a model's files nor the worker's side are read."""
    from assistant.settings.load import load
    from storage.store import Store

    store = Store.open(load({}).store_location, shared=shared)
    try:
        yield store
    finally:
        store.close()


def stay_with_model(engine: Engine, session_id: str | None, model: str | None) -> str:
    """Go on with the chat's own model, unless the command names a ``model``.

    Returns its name where it is not that of the settings, else "". Raises ModelError where it can't
    answer: a chat is never sent to a server, or to another model, without having been asked to.
    """
    if own := own_model(engine, session_id, model):
        engine.model.stay_with(own)
    return own


def own_model(engine: Engine, session_id: str | None, model: str | None) -> str:
    """Return the chat's own model unless it is the settings', or the command names a ``model``."""
    own = engine.store.conversation(session_id).model if session_id and not model else None
    return own if own and own != engine.model.settings.model else ""


def whole_path(model: str) -> str:
    """Make a folder's path absolute: chats and settings keep it, and may start elsewhere."""
    folder = os.path.expanduser(model)
    return os.path.abspath(folder) if model != "demo" and os.path.isdir(folder) else model


def start_decoding() -> None:
    """Start the process that decodes pictures, while the engine is being opened.

    From then on documents ask the terminal for their passwords.
    """
    from assistant.pictures import decode

    decode.start_decoding()
    ask_for_passwords()


def open_pictures(
    engine: Engine, source: str, watch: Callable[[int, int], None] | None = None
) -> Iterator[PictureFile]:
    """Open a picture, or pages, as ``-i`` names them; ``watch`` follows a download."""
    if source == "-":
        return engine.pictures.open_each_of_bytes(sys.stdin.buffer.read(), "standard input")
    return engine.pictures.open_each(source, watch)


def documents_of(sources: Iterable[str]) -> list[str]:
    """Return the sources that are documents, by the suffixes of their names."""
    from assistant.pictures.dropped import DOCUMENT_SUFFIXES, file_of

    suffixes = ((one, os.path.splitext(file_of(one))[1].lower()) for one in sources)
    return [one for one, suffix in suffixes if suffix in DOCUMENT_SUFFIXES]


def report_missing(pictures: Iterable[PictureFile]) -> None:
    """Say on standard error what is missing of pictures that were cut short."""
    for file in pictures:
        if file.notice:
            click.echo(file.notice, err=True)


def print_json(value: object) -> None:
    """Print one line of JSON that a terminal shows and does not obey; moments in ISO 8601."""
    # what the terminal's encoding has no place for is escaped, so that nothing is lost
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(plain_json(json.dumps(value, ensure_ascii=not is_utf8, default=_to_text)))


def _to_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
