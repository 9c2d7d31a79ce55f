"""``phichat sessions``: what is stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from assistant.cli.common import json_option, opened_engine, print_json, told_plainly
from assistant.conversation import Conversation, Turn
from assistant.plain_text import one_line, plain


@click.group()
def sessions() -> None:
    """List, show, rename and delete sessions."""


@sessions.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@json_option
@told_plainly
def list_sessions(limit: int, as_json: bool) -> None:
    """The sessions, the most recently used first."""
    with opened_engine() as (engine, _):
        found = engine.sessions(limit)
        if as_json:
            print_json([_jsonable(asdict(one)) for one in found])
            return
        for one in found:
            click.echo(
                f"{one.id}  {one.updated.astimezone():%Y-%m-%d %H:%M}  "
                f"{one.turns:3} turns  {one.pictures:2} pictures  {one_line(one.title, 60)}"
            )


@sessions.command("show")
@click.argument("session")
@click.option("--all", "every", is_flag=True, help="Every branch, not only the current one.")
@json_option
@told_plainly
def show_session(session: str, every: bool, as_json: bool) -> None:
    """Print one session."""
    with opened_engine() as (engine, _):
        session_id = engine.find_session(session)
        conversation = engine.conversation(session_id)
        turns = engine.all_turns(session_id) if every else conversation.turns
        if as_json:
            print_json(_conversation_json(conversation, turns))
            return
        click.echo(one_line(conversation.title))
        for turn in turns:
            click.echo(f"\n{turn.role}:")
            for picture in turn.pictures:
                click.echo(
                    f"[picture {picture.number}: {one_line(picture.name)} "
                    f"{picture.width}x{picture.height}]"
                )
            click.echo(plain(turn.text))


@sessions.command("rename")
@click.argument("session")
@click.argument("title")
@told_plainly
def rename_session(session: str, title: str) -> None:
    """Give a session another title."""
    with opened_engine() as (engine, _):
        engine.rename(engine.find_session(session), title)


@sessions.command("delete")
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do not ask.")
@told_plainly
def delete_session(session: str, yes: bool) -> None:
    """Delete a session with its turns and pictures."""
    with opened_engine() as (engine, _):
        session_id = engine.find_session(session)
        title = one_line(engine.conversation(session_id).title, 60)
        if not yes:
            click.confirm(f"Delete “{title}” for good?", abort=True, err=True)
        engine.delete(session_id, for_good=True)


def _conversation_json(conversation: Conversation, turns: tuple[Turn, ...]) -> dict[str, object]:
    return {
        "id": conversation.id,
        "title": conversation.title,
        "created": conversation.created.isoformat(),
        "updated": conversation.updated.isoformat(),
        "model": conversation.model,
        "system": conversation.system,
        "pinned": conversation.pinned,
        "turns": [
            {
                "id": turn.id,
                "parent": turn.parent,
                "role": turn.role,
                "text": turn.text,
                "pictures": [
                    {"number": p.number, "name": p.name, "sha256": p.sha256} for p in turn.pictures
                ],
                "finish_reason": turn.finish_reason,
                "created": turn.created.isoformat(),
            }
            for turn in turns
        ],
    }


def _jsonable(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in values.items()}
