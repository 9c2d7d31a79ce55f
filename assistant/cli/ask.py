"""``phichat ask``: one question, one answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assistant.cli.common import (
    opened_engine,
    start_decoding,
    stay_with_model,
)
from assistant.cli.errors import StoppedError
from assistant.cli.options import (
    continue_option,
    engine_options,
    json_option,
    model_option,
    pictures_option,
    sampling_options,
    session_option,
    taken_sampling,
)
from assistant.cli.question import (
    chosen_session,
    draft_of,
    page_text_option,
    question_of,
    quoted_documents,
    system_option,
    words_argument,
)
from assistant.values.errors import PhichatError
from assistant.values.sampling import Parameters, Sampling
from assistant.values.text import one_line

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.values.conversation import Turn
    from assistant.values.events import Event

DEMO_WORD = (
    "This is the demo model: it knows coloured shapes and nothing else. Get the real one with: "
    "phichat models pull microsoft/Phi-3-vision-128k-instruct"
)


STORING_S = 60.0
"""Seconds to wait at most for the database at the end of an answer."""
NOT_WHOLE = 1
"""Exit code: the answer is on standard output, and is not the whole JSON that was asked for."""
NOT_STORED = 3
"""Exit code: the answer is on standard output, and nowhere else."""
CUT = (
    "The answer reached the longest length and is not whole JSON: give it more with "
    "--max-new-tokens, or let it go on with: phichat ask --continue"
)
SHORTENED = "The answer was cut at the longest length. Let it go on with: phichat ask --continue"
STOPPED = "Stopped; what was written is kept. Let it go on with: phichat ask --continue"


def is_due_today(mark: Path) -> bool:
    """Return whether a notice was not shown today, and note in the time of ``mark`` that it is."""
    with suppress(OSError):
        if date.fromtimestamp(mark.stat().st_mtime) == date.today():
            return False
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return True


@click.command()
@pictures_option
@session_option("Go on in this chat.")
@continue_option
@system_option
@model_option
@sampling_options
@engine_options
@json_option
@click.option("--stream-json", is_flag=True, help="Print what happens as lines of JSON.")
@click.option(
    "--logprobs", is_flag=True, help="In JSON: how likely each token was, and the runners-up."
)
@page_text_option
@words_argument
def ask(
    words: tuple[str, ...],
    images: tuple[str, ...],
    session: str | None,
    go_on: bool,
    system: str | None,
    as_json: bool,
    stream_json: bool,
    logprobs: bool,
    page_text: bool,
    **chosen: Any,
) -> None:
    """Ask one question; the answer goes to standard output.

    A - reads standard input: alone as the question, after PROMPT as what it is
    about. Without PROMPT a pipe is read too. Ctrl-C ends the answer and keeps
    what was written; --continue or --session without PROMPT lets it go on.
    A chat goes on with its own model, unless --model names another.

    \b
    phichat ask "What is a cotangent?"
    phichat ask -i chart.png "What does the axis say?"
    phichat ask -i photo.jpg@2380,1380,300,300 "What is this?"    a part of it
    phichat ask -i report.pdf#2-4 "What do these pages say?"
    phichat ask -i before.jpg -i https://example.org/after.jpg "What changed?"
    cat shot.png | phichat ask -i - "What is this?"
    git diff | phichat ask "Summarise this change." -
    phichat ask --continue "And in one word?"
    phichat ask --continue                    the rest of an answer that was ended
    phichat ask --json -i chart.png "Read the title." | jq -r .text
    phichat ask -i bill.jpg --schema "shop, total float" "Read this bill." | jq .total
    """
    quoted = quoted_documents(images, session, go_on, system, page_text)
    if as_json and stream_json:
        raise click.UsageError("--json and --stream-json exclude each other")
    if logprobs and not (as_json or stream_json):
        raise click.UsageError("--logprobs goes with --json or --stream-json")
    sampling = taken_sampling(chosen)
    text = question_of(words, images)
    goes_on = session is not None or go_on
    if not (text or images or goes_on):
        raise click.UsageError("give a question, or a picture with -i")
    if images:
        start_decoding()
    with opened_engine(system=system, **chosen) as (engine, _):
        session_id = chosen_session(engine, session, go_on)
        if (own := stay_with_model(engine, session_id, chosen["model"])) and sys.stderr.isatty():
            click.echo(f"{one_line(own, 120)} answers, as in this chat so far.", err=True)
        if not engine.model.status().is_server:
            engine.model.preload()  # beside the opening of pictures and the database
        _answer(
            engine,
            session_id,
            text,
            images,
            quoted,
            lambda session_id: _sampling(engine, session_id, sampling),
            as_json=as_json,
            stream_json=stream_json,
            logprobs=logprobs,
        )


def _answer(
    engine: Engine,
    session_id: str | None,
    text: str,
    images: tuple[str, ...],
    quoted: Sequence[str],
    sampling: Callable[[str | None], Sampling],
    *,
    as_json: bool,
    stream_json: bool,
    logprobs: bool,
) -> None:
    from assistant.cli.ask_output import (
        EventLines,
        OneObject,
        PlainAnswer,
        ProgressLine,
        misfit_of,
    )
    from assistant.cli.interrupts import Interruption
    from assistant.values.events import (
        ReplyEnded,
        ReplyFailed,
        ReplyGrew,
        StoreLost,
        UserTurnStored,
    )

    progress = ProgressLine()
    plainly = PlainAnswer()
    tokens = engine.tokens if logprobs else None
    answer = EventLines(tokens) if stream_json else OneObject(tokens) if as_json else plainly
    is_stored = False
    last: Turn | None = None
    engine.patience.limit_s = STORING_S
    with Interruption(engine.stop) as interruption:
        try:
            mark = engine.model.settings.cache_dir / "demo-notice"
            if engine.model.facts().is_demo and progress.is_terminal and is_due_today(mark):
                progress.say(DEMO_WORD)
            chosen = sampling(session_id)
            if session_id is not None and not (text or images):
                reply = _rest(engine, session_id, chosen)
                is_stored = True
            else:
                try:
                    draft = draft_of(engine, text, images, quoted, progress.fetching)
                finally:
                    progress.clear()
                reply = engine.send(session_id, draft, chosen)
            # closed before the engine is: its last act is to store the half reply
            with closing(reply) as events:  # type: ignore[type-var]
                for event in events:
                    if isinstance(event, ReplyGrew):  # before anyone can have read it
                        interruption.writing()
                    progress.hear(event)
                    answer.hear(event)
                    match event:
                        case UserTurnStored():
                            is_stored = True
                        case ReplyFailed():
                            plainly.end_line()
                            raise PhichatError(event.message, code=event.code)
                        case StoreLost():
                            plainly.end_line()
                            click.echo(event.message, err=True)
                        case ReplyEnded() if event.unstored:
                            click.echo(event.unstored, err=True)
                            sys.exit(130 if interruption.happened else NOT_STORED)
                        case ReplyEnded() if interruption.happened:
                            click.echo(STOPPED, err=True)  # the answer says why it ended
                            sys.exit(130)
                        case ReplyEnded():
                            last = event.turn
            warning = engine.model.status().warning
            is_cut = last is not None and last.finish_reason == "length"
            misfit = misfit_of(last) if last is not None else None
            is_unfit = misfit is not None or (is_cut and bool(chosen.schema))
            if warning:
                click.echo(warning, err=True)
            if is_cut and (is_unfit or answer is plainly):
                click.echo(CUT if is_unfit else SHORTENED, err=True)
            elif misfit is not None and not warning:
                click.echo(misfit, err=True)
            if is_unfit:
                sys.exit(NOT_WHOLE)
        except KeyboardInterrupt:
            progress.clear()
            plainly.end_line()
            raise StoppedError(STOPPED if is_stored else "Stopped; nothing was stored.") from None


def _rest(engine: Engine, session_id: str, sampling: Sampling) -> Iterator[Event]:
    """Continue a half answer by this model, or answer a question that has no answer."""
    from assistant.values.conversation import FinishReason, Role

    turns = engine.store.tail(session_id, 1)
    if not turns:
        raise PhichatError("Nothing was asked in this chat yet: give a question.")
    last = turns[-1]
    if last.finish_reason is FinishReason.STOP:
        raise PhichatError("The last answer is complete: give a question.")
    is_ours = bool(last.text) and last.model == engine.model.facts().name
    if last.role is Role.ASSISTANT and (is_ours or last.finish_reason is None):
        return engine.continue_reply(session_id, sampling)
    return engine.regenerate(session_id, sampling)


def _sampling(engine: Engine, session_id: str | None, given: dict[str, Any]) -> Sampling:
    """Merge flags over the session's own values over the settings."""
    own = Parameters() if session_id is None else engine.store.conversation(session_id).parameters
    flags = {name: value for name, value in given.items() if value != ()}
    return Parameters(**flags).over(engine.model.sampling(own))
