"""Completion of sessions, pictures, models and settings.

Quick and silent: nothing is offered that can't be read. Only session ids and servers load the
database library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from assistant.values.errors import PhichatError

if TYPE_CHECKING:
    from storage.store import Store

Found = TypeVar("Found")

TITLED = "titled"
"""The type of an offer whose help tells more than its value."""
PATH = "path"
"""The type of an offer that is a path; a folder ends with a slash."""

_MOST_SESSIONS = 100

Offers = list["CompletionItem[str]"]


def session_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> Offers:
    """Offer ids with their titles, the most recently used first."""
    return _ids(incomplete, deleted=False)


def deleted_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> Offers:
    """Offer ids of chats that can be restored, with their titles, the last deleted first."""
    return _ids(incomplete, deleted=True)


def _ids(incomplete: str, *, deleted: bool) -> Offers:
    from assistant.values.text import one_line

    found = _stored(lambda store: store.sessions(_MOST_SESSIONS, 0, deleted=deleted))
    return [
        CompletionItem(one.id, TITLED, one_line(one.title, 40))
        for one in found
        if one.id.startswith(incomplete)
    ]


def pictures(context: click.Context, parameter: click.Parameter, incomplete: str) -> Offers:
    """Offer folders, and files with the suffix of a picture."""
    return picture_paths(incomplete)


def picture_paths(incomplete: str) -> Offers:
    """Offer folders, and files with the suffix of a picture."""
    from assistant.pictures.dropped import SUFFIXES

    return paths(incomplete, SUFFIXES)


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> Offers:
    """Offer folders and files of any suffix."""
    return paths(incomplete)


def models(context: click.Context, parameter: click.Parameter, incomplete: str) -> Offers:
    """Offer the demo, known ids, ids in the cache; folders and servers for a word begun like one.

    Servers are those of stored chats and of the settings. None is asked.
    """
    from assistant.families.hub_cache import fetched_ids
    from assistant.models.known import KNOWN

    if incomplete.startswith(("/", ".", "~")):
        return paths(incomplete, ())
    if incomplete.startswith("http"):
        return _servers(incomplete)
    names = dict.fromkeys(["demo", *(one.id for one in KNOWN), *fetched_ids()])
    begun = [name for name in names if name.lower().startswith(incomplete.lower())]
    return [CompletionItem(name) for name in begun] or paths(incomplete, ())


def _servers(incomplete: str) -> Offers:
    from assistant.servers.address import is_server, parse
    from assistant.settings.load import load

    names = []
    with suppress(PhichatError):
        names.append(load().model)
    names += _stored(lambda store: store.models())
    offers = []
    for name in dict.fromkeys(filter(is_server, names)):
        with suppress(PhichatError):  # it may hold a secret, which is never shown
            if (address := parse(name).name).startswith(incomplete):
                offers.append(CompletionItem(address))
    return offers


def setting_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> Offers:
    """Offer the settings, each with its meaning."""
    from assistant.settings.schema import SETTABLE

    return [
        CompletionItem(name, TITLED, field.description)
        for name, field in SETTABLE.items()
        if name.startswith(incomplete)
    ]


def setting_values(context: click.Context, parameter: click.Parameter, incomplete: str) -> Offers:
    """Offer the values of the setting that was named before, where they are known."""
    from assistant.settings.schema import SETTABLE

    setting = SETTABLE.get(context.params["name"])
    if setting is None or setting.is_table:
        return []
    if setting.name == "model":
        return models(context, parameter, incomplete)
    return [CompletionItem(value) for value in setting.choices if value.startswith(incomplete)]


def _stored(read: Callable[[Store], Sequence[Found]]) -> Sequence[Found]:
    """Read the database; nothing if it is missing or can't be read."""
    from assistant.settings.load import load

    with suppress(PhichatError):
        location = load().store_location
        if "://" in location or os.path.exists(location):  # looking must not make one
            from storage.store import Store

            with closing(Store.open(location)) as store:
                return read(store)
    return ()


def paths(incomplete: str, suffixes: Collection[str] | None = None) -> Offers:
    """Offer folders and files as the word begins, those with one of the suffixes if some are given.

    ``~`` stays ``~``.
    """
    from assistant.pictures.path_forms import plain_name

    typed, slash, beginning = incomplete.rpartition("/")
    wanted = plain_name(beginning)
    offers = []
    try:
        with os.scandir(os.path.expanduser(typed + slash) or ".") as entries:
            for entry in entries:
                name = entry.name
                is_line = name.replace("\u202f", " ").replace("\xa0", " ").isprintable()
                if not (is_line and plain_name(name).startswith(wanted)):
                    continue  # the shells read one offer a line
                if name.startswith(".") and not beginning:
                    continue
                if os.path.isdir(entry):
                    offers.append(f"{typed}{slash}{name}/")
                elif suffixes is None or os.path.splitext(name)[1].lower() in suffixes:
                    offers.append(f"{typed}{slash}{name}")
    except OSError:
        pass
    return [CompletionItem(offer, PATH) for offer in sorted(offers)]
