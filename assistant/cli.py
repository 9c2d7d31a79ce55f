"""The command line. stdout carries results, stderr carries the rest.

Exit codes: 0 done, 1 the request failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from assistant import __version__, settings as settings_room
from assistant.conversation import Conversation, Draft, Turn
from assistant.core import Prompt, Slot
from assistant.engine import Engine, open_engine
from assistant.errors import PhichatError
from assistant.events import (
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    Stage,
    UserTurnStored,
)
from assistant.phi3v.geometry import crop_grid
from assistant.plain_text import PlainStream, one_line, plain
from assistant.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

DEMO_WORD = (
    "This is the demo model: it knows coloured shapes and nothing else. "
    "The README says how to get Phi-3-vision."
)


def _told_plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Errors as one sentence on stderr (and as JSON on stdout where asked for), exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except PhichatError as error:
            _fail(error.code, str(error), as_json=bool(kwargs.get("as_json")))
        except KeyboardInterrupt:
            click.echo(err=True)
            sys.exit(130)
        except BrokenPipeError:
            # the reader of our output has what it wanted (`phichat ask … | head -1`)
            sys.stderr.close()
            sys.exit(1)

    return run


def _fail(code: str, message: str, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False))
    click.echo(plain(message), err=True)
    sys.exit(1)


@contextmanager
def _engine(**overrides: object) -> Iterator[tuple[Engine, Settings]]:
    chosen = settings_room.load(overrides)
    engine = open_engine(chosen)
    try:
        yield engine, chosen
    finally:
        engine.close()


_model_option = click.option(
    "--model", metavar="MODEL", help="“demo”, a model folder, or a Hugging Face id."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_pictures_option = click.option(
    "-i", "--image", "images", metavar="PICTURE", multiple=True,
    help="A picture file, an http(s) URL, or - for standard input; may be repeated.",
)  # fmt: skip


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="phichat")
@click.pass_context
def cli(context: click.Context) -> None:
    """Talk about pictures with Phi-3-vision, on your own machine.

    Without a command: the terminal app.

    \b
    phichat                                  the app
    phichat chat holiday.jpg                 the app, with a picture attached
    phichat ask -i chart.png "What is this?" one answer on standard output
    phichat ask --continue "And the axis?"   the next question of that session
    """
    if context.invoked_subcommand is None:
        context.invoke(chat)


@cli.command()
@click.option("--session", metavar="ID", help="Open this session (the start of its id is enough).")
@click.option("--last", is_flag=True, help="Open the session used last.")
@_model_option
@click.argument("pictures", metavar="[PICTURE]...", nargs=-1)
@_told_plainly
def chat(
    session: str | None = None,
    last: bool = False,
    model: str | None = None,
    pictures: tuple[str, ...] = (),
) -> None:
    """The terminal app: sessions on the left, the chat on the right."""
    if session is not None and last:
        raise click.UsageError("--session and --last exclude each other")
    with _engine(model=model) as (engine, chosen):
        session_id = engine.latest_session() if last else None
        if session is not None:
            session_id = engine.find_session(session)
        from tui.app import make_app  # Textual is for this command alone

        make_app(engine, chosen, session_id=session_id, pictures=pictures).run()


@cli.command()
@_pictures_option
@click.option("--session", metavar="ID", help="Go on in this session.")
@click.option("--continue", "go_on", is_flag=True, help="Go on in the session used last.")
@click.option("--system", metavar="TEXT", help="What the model is told first, in a new session.")
@_model_option
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Makes sampling repeatable.")
@click.option("--temperature", type=click.FloatRange(0), metavar="T", help="0 is greedy.")
@click.option("--max-new-tokens", type=click.IntRange(1), metavar="N", help="Longest reply.")
@_json_option
@click.argument("prompt", required=False)
@_told_plainly
def ask(
    images: tuple[str, ...],
    session: str | None,
    go_on: bool,
    system: str | None,
    model: str | None,
    seed: int | None,
    temperature: float | None,
    max_new_tokens: int | None,
    as_json: bool,
    prompt: str | None,
) -> None:
    """Ask one question; the answer goes to standard output.

    PROMPT may be - (or left out in a pipe) to read it from standard input.
    """
    if session is not None and go_on:
        raise click.UsageError("--session and --continue exclude each other")
    text = _prompt_text(prompt, images)
    with _engine(
        model=model,
        system=system,
        seed=seed,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
    ) as (engine, _):
        session_id = _session(engine, session, go_on)
        facts = engine.facts()
        draft = Draft(text, tuple(_open(engine, source) for source in images))
        progress = _ProgressLine()
        if facts.is_demo and sys.stderr.isatty():
            click.echo(DEMO_WORD, err=True)
        shown = PlainStream()
        for event in engine.send(session_id, draft):
            match event:
                case UserTurnStored():
                    session_id = event.session_id
                case Progressed():
                    progress.show(event)
                case ReplyGrew() if not as_json:
                    progress.clear()
                    click.echo(shown.feed(event.text), nl=False)
                case ReplyEnded():
                    progress.clear()
                    if as_json:
                        _print_json(_answer_json(event.session_id, event.turn))
                    else:
                        click.echo(shown.finish())
                case ReplyFailed():
                    progress.clear()
                    _fail(event.code, event.message, as_json=as_json)
                case _:
                    pass


@cli.command("prompt")
@_pictures_option
@click.option("--session", metavar="ID", help="As the next message of this session.")
@_model_option
@_json_option
@click.argument("text", metavar="[PROMPT]", default="")
@_told_plainly
def show_prompt(
    images: tuple[str, ...], session: str | None, model: str | None, as_json: bool, text: str
) -> None:
    """What the model would see: token ids, picture slots, budget. Nothing is stored."""
    with _engine(model=model) as (engine, _):
        session_id = None if session is None else engine.find_session(session)
        draft = Draft(text, tuple(_open(engine, source) for source in images))
        preview = engine.preview(session_id, draft)
        facts = engine.facts()
        ids, slots = _ids_with_slots(preview.prompt)
        shown = [p for turn in preview.kept for p in turn.pictures]
        pictures = []
        first_new = 1 + max((p.number for p in shown), default=0)
        for index, (picture, slot) in enumerate(zip(shown, slots, strict=True), 1):
            grid = crop_grid(picture.width, picture.height, facts.num_crops)
            number = picture.number
            if not number:  # not stored yet: the numbers it would get
                number, first_new = first_new, first_new + 1
            pictures.append(
                {
                    "number": number,
                    "slot": index,
                    "name": picture.name,
                    "sha256": picture.sha256,
                    "width": picture.width,
                    "height": picture.height,
                    "crops": [grid.rows, grid.columns],
                    "tokens": slot.tokens,
                }
            )
        result = {
            "model": facts.name,
            "ids": ids,
            "pictures": pictures,
            "prompt_tokens": preview.prompt.tokens,
            "limit": facts.context,
            "max_new_tokens": preview.max_new_tokens,
            "left_out": [
                {"turn": turn.id, "why": "the oldest turns no longer fit"}
                for turn in preview.left_out
            ],
        }
        if as_json:
            _print_json(result)
            return
        for picture_json in pictures:
            click.echo(
                f"picture {picture_json['number']}  {one_line(str(picture_json['name']))}  "
                f"{picture_json['width']}x{picture_json['height']}  {picture_json['tokens']} tokens"
            )
        click.echo(" ".join(str(i) if isinstance(i, int) else f"[{i[0]} x {i[1]}]" for i in ids))
        click.echo(
            f"{preview.prompt.tokens} of {facts.context} tokens, "
            f"{preview.max_new_tokens} kept for the reply, {len(preview.left_out)} turns left out"
        )


@cli.group()
def sessions() -> None:
    """List, show, rename and delete sessions."""


@sessions.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@_json_option
@_told_plainly
def list_sessions(limit: int, as_json: bool) -> None:
    """The sessions, the most recently used first."""
    with _engine() as (engine, _):
        found = engine.sessions(limit)
        if as_json:
            _print_json([_jsonable(asdict(one)) for one in found])
            return
        for one in found:
            click.echo(
                f"{one.id}  {one.updated.astimezone():%Y-%m-%d %H:%M}  "
                f"{one.turns:3} turns  {one.pictures:2} pictures  {one_line(one.title, 60)}"
            )


@sessions.command("show")
@click.argument("session")
@click.option("--all", "every", is_flag=True, help="Every branch, not only the current one.")
@_json_option
@_told_plainly
def show_session(session: str, every: bool, as_json: bool) -> None:
    """Print one session."""
    with _engine() as (engine, _):
        session_id = engine.find_session(session)
        conversation = engine.conversation(session_id)
        turns = engine.all_turns(session_id) if every else conversation.turns
        if as_json:
            _print_json(_conversation_json(conversation, turns))
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
@_told_plainly
def rename_session(session: str, title: str) -> None:
    """Give a session another title."""
    with _engine() as (engine, _):
        engine.rename(engine.find_session(session), title)


@sessions.command("delete")
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_told_plainly
def delete_session(session: str, yes: bool) -> None:
    """Delete a session with its turns and pictures."""
    with _engine() as (engine, _):
        session_id = engine.find_session(session)
        title = one_line(engine.conversation(session_id).title, 60)
        if not yes:
            click.confirm(f"Delete “{title}” for good?", abort=True, err=True)
        engine.delete(session_id)


def _prompt_text(prompt: str | None, images: tuple[str, ...]) -> str:
    """The question: the argument, or standard input where that is a pipe."""
    piped = prompt == "-" or (prompt is None and not sys.stdin.isatty())
    if piped and "-" in images:
        if prompt == "-":
            raise click.UsageError("standard input can't be both the picture and the prompt")
        piped = False
    text = sys.stdin.read() if piped else (prompt or "")
    if not text.strip() and not images:
        raise click.UsageError("give a question, or a picture with -i")
    return text.strip("\n")


def _open(engine: Engine, source: str) -> Any:
    if source == "-":
        return engine.open_picture_bytes(sys.stdin.buffer.read(), "standard input")
    return engine.open_picture(source)


def _session(engine: Engine, session: str | None, go_on: bool) -> str | None:
    if session is not None:
        return engine.find_session(session)
    if not go_on:
        return None
    latest = engine.latest_session()
    if latest is None:
        raise PhichatError("There is no session to continue yet: ask without --continue.")
    return latest


def _answer_json(session_id: str, turn: Turn) -> dict[str, object]:
    assert turn.usage is not None
    assert turn.timings is not None
    return {
        "session": session_id,
        "turn": turn.id,
        "text": turn.text,
        "finish_reason": turn.finish_reason,
        "model": turn.model,
        "usage": asdict(turn.usage),
        "timings": asdict(turn.timings),
    }


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


def _ids_with_slots(prompt: Prompt) -> tuple[list[int | list[int]], list[Slot]]:
    """Ids with each picture as [-slot, tokens], as the contract has it."""
    ids: list[int | list[int]] = []
    slots: list[Slot] = []
    for part in prompt.parts:
        if isinstance(part, Slot):
            slots.append(part)
            ids.append([-len(slots), part.tokens])
        else:
            ids.extend(part)
    return ids, slots


def _jsonable(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in values.items()}


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


class _ProgressLine:
    """One line on stderr that is overwritten; silent where stderr is no terminal."""

    _WORDS = {  # noqa: RUF012
        Stage.LOADING: "Loading the model",
        Stage.QUEUED: "Waiting",
        Stage.PICTURES: "Looking at the picture",
        Stage.PREFILL: "Reading the conversation",
        Stage.REGIME: "Re-reading the conversation",
    }

    def __init__(self) -> None:
        self._shown = False
        self._terminal = sys.stderr.isatty()

    def show(self, event: Progressed) -> None:
        if self._terminal:
            percent = f" {100 * event.done // event.total} %" if event.total else ""
            click.echo(f"\r\x1b[K{self._WORDS[event.stage]}…{percent}", err=True, nl=False)
            self._shown = True

    def clear(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._shown = False


def main() -> None:
    """The ``phichat`` command."""
    cli(prog_name="phichat")


if __name__ == "__main__":
    main()
