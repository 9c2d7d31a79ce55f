"""Servers in ``phichat models``: choose one by its address, ask it for its models."""

from __future__ import annotations

from dataclasses import replace

import click

from assistant.cli.common import print_json
from assistant.servers.address import parse
from assistant.values.text import plain
from assistant.values.words import counted

SENT = "your words and pictures go there"
"""Shown wherever a server can be chosen."""

A_SERVER = "a server"
"""The name of a server whose address can't be used, and may hold a secret."""

_MOST = 9
"""Models of a server that are named where it has many."""


def found_at(model: str) -> str:
    """Return the name of the server and model at an address. Raises ModelError."""
    from assistant.servers.catalogue import chosen, models

    address = parse(model)
    name = chosen(address).address.name
    if address.model is None and len(found := models(address)) > 1:
        others = [one.address.name for one in found if one.address.name != name][:_MOST]
        click.echo(
            plain(f"It has {counted(len(found), 'model')}; the first is taken. Others:"), err=True
        )
        for other in others:
            click.echo(f"    {plain(other)}", err=True)
    click.echo(f"A server answers: {SENT}.", err=True)
    return name


def verify_server(model: str, *, as_json: bool) -> None:
    """Ask a server for its models. Raises ModelError if it answers like no such server."""
    from assistant.servers.catalogue import chosen, models

    address = parse(model)
    found = models(address) if address.model is None else (chosen(address),)
    if as_json:
        listed = [
            {"name": one.address.name, "model": one.address.model, "context": one.context}
            for one in found
        ]
        print_json({"model": address.name, "ok": True, "problem": None, "models": listed})
        return
    click.echo(plain(f"{replace(address, model=None).name} answers. Its models:"))
    for one in found:
        reads = (
            f"reads {counted(one.context, 'token')}" if one.context else "does not tell its context"
        )
        click.echo(plain(f"  {one.address.name}  ({reads})"))
