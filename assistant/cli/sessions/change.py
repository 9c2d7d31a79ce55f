"""``phichat sessions rename``, ``fork``, ``delete`` and ``restore``."""

from __future__ import annotations

import click

from assistant.cli.common import opened_store, print_json
from assistant.cli.completion_words import deleted_ids
from assistant.cli.options import TEXT, json_option, session_argument
from assistant.values.errors import PhichatError
from assistant.values.text import one_line


@click.command()
@session_argument
@click.argument("title", type=TEXT)
@json_option
def rename(session: str, title: str, as_json: bool) -> None:
    """Give a chat another title.

    \b
    phichat sessions rename 4f2k "The red circle"
    """
    with opened_store() as store:
        session_id = store.find_session(session)
        store.rename(session_id, title)
        if as_json:
            print_json({"id": session_id, "title": store.conversation(session_id).title})


@click.command()
@session_argument
@click.option("--at", "turn", metavar="TURN", type=TEXT, help="End the copy with this turn.")
@json_option
def fork(session: str, turn: str | None, as_json: bool) -> None:
    """Copy the current branch of a chat into a new one, and print its id.

    \b
    phichat sessions fork 4f2k
    phichat chat --session $(phichat sessions fork 4f2k)
    """
    with opened_store() as store:
        session_id = store.find_session(session)
        if turn is not None and all(one.id != turn for one in store.all_turns(session_id)):
            raise PhichatError(
                f"There is no turn {turn} in this chat; its turns are named by: "
                f"phichat sessions show {session_id} --all --json",
                code="turn",
            )
        copy = store.fork(session_id, turn)
        if as_json:
            print_json({"id": copy, "title": store.conversation(copy).title})
        else:
            click.echo(copy)


@click.command()
@session_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--for-good", is_flag=True, help="So that it can't be restored.")
@json_option
def delete(session: str, yes: bool, for_good: bool, as_json: bool) -> None:
    """Delete a chat. For a day it can be restored, unless it is deleted for good.

    \b
    phichat sessions delete 4f2k
    phichat sessions delete 4f2k --for-good --yes
    """
    with opened_store() as store:
        session_id = store.find_session(session)
        title = one_line(store.conversation(session_id).title, 60)
        if not yes:
            words = " for good" if for_good else ""
            try:
                is_meant = click.confirm(f"Delete “{title}”{words}?", err=True)
            except click.Abort as error:
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise
                click.echo(err=True)  # the line of the question is still open
                raise PhichatError(
                    "No answer came, so nothing was deleted: add --yes.", code="unanswered"
                ) from None
            if not is_meant:
                raise PhichatError("Nothing was deleted.", code="declined")
        store.delete(session_id, for_good=for_good)
        if as_json:
            print_json({"id": session_id, "restorable": not for_good})
        elif not for_good:
            click.echo(
                f"Deleted; for a day it comes back with: phichat sessions restore {session_id}",
                err=True,
            )


@click.command()
@click.argument("session", metavar="CHAT", type=TEXT, shell_complete=deleted_ids)
@json_option
def restore(session: str, as_json: bool) -> None:
    """Bring a deleted chat back.

    \b
    phichat sessions list --deleted
    phichat sessions restore 4f2k
    """
    with opened_store() as store:
        session_id = store.find_session(session, deleted=True)
        store.restore(session_id)
        if as_json:
            print_json({"id": session_id, "title": store.conversation(session_id).title})


@click.command()
@session_argument
@click.argument("users", nargs=-1, type=TEXT)
@click.option("--stop", is_flag=True, help="Share it no longer: with USERS, or with anybody.")
@json_option
def share(session: str, users: tuple[str, ...], stop: bool, as_json: bool) -> None:
    """Let USERS of the same PostgreSQL database read a chat, and print who may.

    They list, show and export it with --shared, what is added later included. They change
    nothing; to go on with it, they import an export.

    \b
    phichat sessions share 4f2k bob carol
    phichat sessions share 4f2k
    phichat sessions share 4f2k bob --stop
    """
    with opened_store() as store:
        session_id = store.find_session(session)
        if stop:
            store.unshare(session_id, users)
        elif users:
            store.share(session_id, users)
        readers = store.readers(session_id)
        if as_json:
            print_json({"id": session_id, "users": readers})
        else:
            for reader in readers:
                click.echo(one_line(reader))
