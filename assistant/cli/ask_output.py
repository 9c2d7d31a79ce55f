"""Output of ``phichat ask``: the answer on stdout, progress on stderr where it is a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Protocol

import click

from assistant.cli.common import print_json
from assistant.engine.chances import Other, Token
from assistant.values.chances import Chances
from assistant.values.context import ContextReport, LeftOut, Why
from assistant.values.conversation import Turn
from assistant.values.errors import PhichatError
from assistant.values.events import (
    ContextPlanned,
    Event,
    Progressed,
    ReplyEnded,
    ReplyGrew,
    ReplyStarted,
    Stage,
    StoreLost,
    ThoughtGrew,
    UserTurnStored,
)
from assistant.values.lowered import lowered_words
from assistant.values.schema_fit import misfit
from assistant.values.text import PlainStream, one_line
from assistant.values.words import counted, duration

TokensOf = Callable[[Turn, Chances], Sequence[Token]]

UNSTORED = "unstored"
"""Code of an answer that was written and could not be stored."""


def misfit_of(reply: Turn) -> PhichatError | None:
    """Say what a reply lacks of the schema that it was to obey."""
    schema = reply.parameters.get("schema") if reply.parameters else None
    return misfit(reply.text, str(schema or ""))


class Answer(Protocol):
    """Writes a reply to standard output."""

    def hear(self, event: Event) -> None:
        """Take one event of the reply."""
        ...


class PlainAnswer:
    """The text as it grows and nothing else; nothing in it reaches a terminal as a command."""

    def __init__(self) -> None:
        self._shown = PlainStream()
        self._last = "\n"

    def hear(self, event: Event) -> None:
        if isinstance(event, ReplyGrew):
            self._write(self._shown.feed(event.text))
        elif isinstance(event, ReplyEnded):
            self._write(self._shown.finish())
            self.end_line()

    def end_line(self) -> None:
        """End the line, if text stands in it."""
        if self._last != "\n":
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            click.echo(text, nl=False)
            self._last = text[-1]


class OneObject:
    """One JSON object when the reply is over; ``tokens`` puts its probabilities into it."""

    def __init__(self, tokens: TokensOf | None = None) -> None:
        self._tokens = tokens

    def hear(self, event: Event) -> None:
        if isinstance(event, ReplyEnded):
            print_json(_ended(event, self._tokens))


class EventLines:
    """One JSON object a line for everything that happens; docs/commands.md has their shapes."""

    def __init__(self, tokens: TokensOf | None = None) -> None:
        self._tokens = tokens

    def hear(self, event: Event) -> None:
        match event:
            case UserTurnStored():
                self._line("stored", session=event.session_id, turn=event.turn.id)
            case ReplyStarted():
                self._line("started", session=event.session_id, turn=event.turn.id)
            case ContextPlanned():
                self._line("planned", **_planned(event.context))
            case Progressed():
                self._line("progress", stage=event.stage, done=event.done, total=event.total)
            case ReplyGrew():
                self._line("text", text=event.text)
            case StoreLost():
                self._line("notice", message=event.message)
            case ReplyEnded():
                self._line("ended", **_ended(event, self._tokens))
            case _:  # a failure is reported as every other error is
                pass

    def _line(self, event: str, **values: object) -> None:
        print_json({"event": event, **values})


def _ended(event: ReplyEnded, tokens: TokensOf | None) -> dict[str, object]:
    turn = event.turn
    fault: PhichatError | None = None
    if event.unstored:
        fault = PhichatError(event.unstored, code=UNSTORED)
    elif turn.finish_reason != "length":
        fault = misfit_of(turn)
    assert turn.usage is not None
    assert turn.timings is not None
    return {
        "session": event.session_id,
        "turn": turn.id,
        "text": turn.text,
        "finish_reason": turn.finish_reason,
        "model": turn.model,
        "usage": asdict(turn.usage),
        "timings": asdict(turn.timings),
        **({"thought_s": turn.thought.seconds} if turn.thought is not None else {}),
        **({} if tokens is None else {"logprobs": _logprobs(event, tokens)}),
        **({"error": {"code": fault.code, "message": str(fault)}} if fault else {}),
    }


def _logprobs(event: ReplyEnded, tokens: TokensOf) -> list[dict[str, object]] | None:
    """Return the tokens with their probabilities; None where these are not known."""
    if event.chances is None:
        return None
    return [
        {**_token(token), "top": [_token(other) for other in token.others]}
        for token in tokens(event.turn, event.chances)
    ]


def _token(token: Other) -> dict[str, object]:
    id = token.id if isinstance(token.id, int) else None
    return {"id": id, "token": token.text, "logprob": token.logprob}


def _planned(context: ContextReport) -> dict[str, object]:
    return {
        "prompt_tokens": context.used,
        "limit": context.limit,
        "max_new_tokens": context.max_new_tokens,
        "pictures": [
            {"number": one.picture.number, "crops": list(one.layout.grid), "tokens": one.tokens,
             "chosen_by": one.chosen_by}
            for one in context.pictures
        ],
        "left_out": [
            {"turn": one.turn.id, "picture": one.picture.number if one.picture else None,
             "why": one.why}
            for one in context.left_out
        ],
    }  # fmt: skip


class ProgressLine:
    """One line of progress on stderr, and notes about the context. Silent without a terminal."""

    _WORDS = {  # noqa: RUF012
        Stage.LOADING: "Loading the model",
        Stage.QUEUED: "Waiting",
        Stage.PREFILL: "Reading the chat",
        Stage.REGIME: "Reading again for a long chat",
        Stage.STORING: "Waiting for the database",
    }

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty()
        self._is_shown = False
        self._parts = ""
        self._noted: list[str] = []
        self._thinking_since: float | None = None

    def hear(self, event: Event) -> None:
        """Show one event of the reply."""
        if not self.is_terminal:
            return
        if isinstance(event, ThoughtGrew):
            now = time.monotonic()
            self._thinking_since = self._thinking_since or now
            self._show(f"Thinking… {duration(now - self._thinking_since)}")
        elif isinstance(event, Progressed):
            self._show(self._words(event))
        else:
            self.clear()
        if isinstance(event, ContextPlanned):
            self._parts = _parts(event.context)
            for sentence in _notes(event.context):
                if sentence not in self._noted:  # the plan may come twice
                    self.say(sentence)
                    self._noted.append(sentence)

    def fetching(self, done: int, total: int) -> None:
        """Show that ``done`` bytes of a picture have come (``total`` 0: of an unknown number)."""
        if self.is_terminal:
            percent = f" {min(100, 100 * done // total)} %" if total else ""
            is_here = done == total > 0
            self._show("Opening the picture…" if is_here else f"Fetching the picture…{percent}")

    def say(self, sentence: str) -> None:
        """Print a line that stays."""
        if self.is_terminal:
            self.clear()
            click.echo(sentence, err=True)

    def clear(self) -> None:
        """Clear the line."""
        if self._is_shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._is_shown = False

    def _show(self, words: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r\x1b[K{one_line(words, width)}", err=True, nl=False)
        self._is_shown = True

    def _words(self, event: Progressed) -> str:
        if event.stage is Stage.PICTURES:
            number = min(event.done + 1, event.total)
            return f"Looking at picture {number} of {event.total}{self._parts}…"
        percent = f" {min(100, 100 * event.done // event.total)} %" if event.total else ""
        words = event.detail[:1].upper() + event.detail[1:]
        return f"{words or self._WORDS[event.stage]}…{percent}"


def _parts(context: ContextReport) -> str:
    """`` (17 + 5 crops)``: the parts of each picture, the small whole included."""
    layouts = [one.layout for one in context.pictures if one.layout.part]
    views = " + ".join(str(layout.views) for layout in layouts)
    return f" ({views} {layouts[0].part}s)" if layouts else ""


def _notes(context: ContextReport) -> Iterable[str]:
    if words := lowered_words(context):
        yield words
    gone = [one for one in context.left_out if one.why is Why.NO_ROOM]
    if gone:
        yield f"The model no longer sees {_counted(gone)}: there is no room."


def _counted(gone: list[LeftOut]) -> str:
    pictures = sum(one.picture is not None for one in gone)
    turns = len(gone) - pictures
    words = [
        counted(count, f"earlier {noun}")
        for count, noun in ((turns, "turn"), (pictures, "picture"))
        if count
    ]
    return " and ".join(words)
