"""``phichat sessions list``, ``show`` and ``search``."""

from __future__ import annotations

from dataclasses import asdict

import click

from assistant.cli.common import opened_store, print_json
from assistant.cli.options import (
    TEXT,
    json_option,
    limit_option,
    session_argument,
    session_option,
    shared_option,
)
from assistant.values.conversation import (
    Conversation,
    SearchHit,
    ShownPicture,
    Snippet,
    Turn,
)
from assistant.values.text import one_line, plain
from assistant.values.words import counted


@click.command("list")
@limit_option(50)
@shared_option
@click.option("--deleted", is_flag=True, help="Deleted chats that can still be restored.")
@json_option
def list_(limit: int, shared: bool, deleted: bool, as_json: bool) -> None:
    """The chats: pinned ones, then the most recently used.

    \b
    phichat sessions list --limit 10
    phichat sessions list --shared
    phichat sessions list --deleted
    """
    if shared and deleted:
        raise click.UsageError("--deleted lists your own chats: leave out --shared")
    with opened_store(shared=shared) as store:
        found = store.sessions(limit, deleted=deleted)
        owners = store.owners() if shared else {}
        if as_json:
            of = {id: {"owner": owner} for id, owner in owners.items()}
            print_json([asdict(one) | of.get(one.id, {}) for one in found])
            return
        for one in found:
            owner = f"{one_line(owners[one.id])}: " if one.id in owners else ""
            used = "damaged" if one.damaged else f"{one.updated.astimezone():%Y-%m-%d %H:%M}"
            click.echo(
                f"{one.id}  {used:16}  "
                f"{counted(one.turns, 'message'):>12}  {counted(one.pictures, 'picture'):>11}  "
                f"{owner}{one_line(one.title, 60)}"
            )


@click.command()
@session_argument
@click.option("--all", "every", is_flag=True, help="Every branch, not only the current one.")
@shared_option
@json_option
def show(session: str, every: bool, shared: bool, as_json: bool) -> None:
    """Print one chat.

    \b
    phichat sessions show 4f2k
    phichat sessions show 4f2k --all --json
    """
    with opened_store(shared=shared) as store:
        session_id = store.find_session(session)
        conversation = store.conversation(session_id)
        turns = store.all_turns(session_id) if every else conversation.turns
        if as_json:
            print_json(_conversation_json(conversation, turns))
            return
        click.echo(one_line(conversation.title))
        above = None
        for turn in turns:
            if above is not None and turn.parent != above:
                click.echo(f"\n--- {_where(turn, turns)}")
            above = turn.id
            click.echo(f"\n{turn.role}:")
            for picture in turn.pictures:
                click.echo(
                    f"[picture {picture.number}: {one_line(picture.name)} "
                    f"{picture.width}x{picture.height}]"
                )
            click.echo(plain(turn.text))
        if not every and (others := len(store.all_turns(session_id)) - len(turns)):
            click.echo(f"{counted(others, 'message')} of other branches: add --all.", err=True)


def _where(turn: Turn, turns: tuple[Turn, ...]) -> str:
    """Say in words where a branch leaves what was printed before it."""
    for one in turns:
        if one.id == turn.parent:
            return f"another branch, after “{one_line(one.text, 60)}”"
    return "another branch, from the beginning"


@click.command()
@click.argument("words", nargs=-1, required=True, type=TEXT)
@session_option("Only in this chat.", "CHAT")
@limit_option(20)
@json_option
def search(words: tuple[str, ...], session: str | None, limit: int, as_json: bool) -> None:
    """Find messages, titles and picture names that have all of WORDS, the best match first.

    \b
    phichat sessions search red circle
    phichat sessions search --session 4f2k "axis*"
    """
    with opened_store() as store:
        session_id = None if session is None else store.find_session(session)
        hits = store.search(" ".join(words), session_id=session_id, limit=limit)
        if as_json:
            print_json([_hit_json(hit) for hit in hits])
            return
        for hit in hits:
            found_in = hit.found_in if hit.role is None else hit.role
            click.echo(
                f"{hit.session_id}  {hit.created.astimezone():%Y-%m-%d %H:%M}  "
                f"{one_line(hit.session_title, 60)}\n    {found_in}: {_highlighted(hit.snippet)}"
            )


@click.command()
@click.argument("words", nargs=-1, type=TEXT)
@limit_option(50)
@json_option
def pictures(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the pictures of all chats, the newest first, and where each was attached.

    With WORDS: those with all of them in the name, the chat's title or what was said.

    \b
    phichat sessions pictures
    phichat sessions pictures bill total
    """
    with opened_store() as store:
        found = store.all_pictures(" ".join(words), limit=limit)
        if as_json:
            print_json([_shown_json(one) for one in found])
            return
        for one in found:
            picture = one.picture
            click.echo(
                f"{one.session_id}  {one.created.astimezone():%Y-%m-%d %H:%M}  "
                f"{one_line(one.session_title, 60)}\n    picture {picture.number}: "
                f"{one_line(picture.name, 60)} {picture.width}x{picture.height}"
            )


def _shown_json(one: ShownPicture) -> dict[str, object]:
    return {
        "session": one.session_id,
        "title": one.session_title,
        "turn": one.turn_id,
        "created": one.created,
        "number": one.picture.number,
        "name": one.picture.name,
        "sha256": one.picture.sha256,
        "width": one.picture.width,
        "height": one.picture.height,
    }


def _highlighted(snippet: Snippet) -> str:
    """Format one line with the found words in bold; click drops that without a terminal."""
    pieces: list[str] = []
    end = 0
    for start, stop in snippet.marks:
        pieces.append(_flat(snippet.text[end:start]))
        pieces.append(click.style(_flat(snippet.text[start:stop]), bold=True))
        end = stop
    pieces.append(_flat(snippet.text[end:]))
    return "".join(pieces)


def _flat(text: str) -> str:
    return plain(text).replace("\n", " ").replace("\t", " ")


def _hit_json(hit: SearchHit) -> dict[str, object]:
    return {
        "session": hit.session_id,
        "turn": hit.turn_id,
        "snippet": hit.snippet.text,
        "score": hit.score,
        "marks": hit.snippet.marks,
        "found_in": hit.found_in,
        "role": hit.role,
        "title": hit.session_title,
        "created": hit.created,
    }


def _conversation_json(conversation: Conversation, turns: tuple[Turn, ...]) -> dict[str, object]:
    return {
        "id": conversation.id,
        "title": conversation.title,
        "created": conversation.created,
        "updated": conversation.updated,
        "model": conversation.model,
        "system": conversation.system,
        "pinned": conversation.pinned,
        "parameters": conversation.parameters.table(),
        "summary": None if conversation.summary is None else asdict(conversation.summary),
        "turns": [_turn_json(turn) for turn in turns],
    }


def _turn_json(turn: Turn) -> dict[str, object]:
    return {
        "id": turn.id,
        "parent": turn.parent,
        "role": turn.role,
        "text": turn.text,
        "pictures": [
            {
                "number": p.number,
                "name": p.name,
                "sha256": p.sha256,
                **({"region": asdict(p.region)} if p.region else {}),
                **({"origin": asdict(p.origin)} if p.origin else {}),
            }
            for p in turn.pictures
        ],
        "finish_reason": turn.finish_reason,
        "created": turn.created,
        "kind": turn.kind,
        "pinned": turn.pinned,
        "excluded": turn.excluded,
    }
