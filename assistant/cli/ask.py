"""``phichat ask``: one question, one answer."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from assistant.cli.common import (
    fail,
    json_option,
    memory_options,
    model_option,
    open_picture,
    opened_engine,
    pictures_option,
    print_json,
    told_plainly,
)
from assistant.conversation import Draft, Turn
from assistant.engine import Engine
from assistant.errors import PhichatError
from assistant.events import (
    ContextPlanned,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    Stage,
    UserTurnStored,
)
from assistant.plain_text import PlainStream

DEMO_WORD = (
    "This is the demo model: it knows coloured shapes and nothing else. "
    "The README says how to get Phi-3-vision."
)


@click.command()
@pictures_option
@click.option("--session", metavar="ID", help="Go on in this session.")
@click.option("--continue", "go_on", is_flag=True, help="Go on in the session used last.")
@click.option("--system", metavar="TEXT", help="What the model is told first, in a new session.")
@model_option
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Makes sampling repeatable.")
@click.option("--temperature", type=click.FloatRange(0), metavar="T", help="0 is greedy.")
@click.option("--max-new-tokens", type=click.IntRange(1), metavar="N", help="Longest reply.")
@memory_options
@json_option
@click.argument("prompt", required=False)
@told_plainly
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
    **memory: object,
) -> None:
    """Ask one question; the answer goes to standard output.

    PROMPT may be - (or left out in a pipe) to read it from standard input.
    """
    if session is not None and go_on:
        raise click.UsageError("--session and --continue exclude each other")
    text = _prompt_text(prompt, images)
    with opened_engine(
        model=model,
        system=system,
        seed=seed,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        **memory,
    ) as (engine, _):
        session_id = _session(engine, session, go_on)
        facts = engine.facts()
        draft = Draft(text, tuple(open_picture(engine, source) for source in images))
        progress = ProgressLine()
        if facts.is_demo and sys.stderr.isatty():
            click.echo(DEMO_WORD, err=True)
        shown = PlainStream()
        for event in engine.send(session_id, draft):
            match event:
                case UserTurnStored():
                    session_id = event.session_id
                case ContextPlanned() if sys.stderr.isatty():
                    for one in event.context.lowered:
                        click.echo(
                            f"Picture {one.picture.number} is seen in at most "
                            f"{one.num_crops} crops, to leave room.",
                            err=True,
                        )
                case Progressed():
                    progress.show(event)
                case ReplyGrew() if not as_json:
                    progress.clear()
                    click.echo(shown.feed(event.text), nl=False)
                case ReplyEnded():
                    progress.clear()
                    if as_json:
                        print_json(_answer_json(event.session_id, event.turn))
                    else:
                        click.echo(shown.finish())
                case ReplyFailed():
                    progress.clear()
                    fail(event.code, event.message, as_json=as_json)
                case _:
                    pass


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


class ProgressLine:
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
            words = event.detail.capitalize() or self._WORDS[event.stage]
            click.echo(f"\r\x1b[K{words}…{percent}", err=True, nl=False)
            self._shown = True

    def clear(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._shown = False
