"""One reply, printed in whole sentences for ``phichat chat --plain``."""

from __future__ import annotations

import re
from contextlib import suppress

import click

from assistant.values.conversation import FinishReason
from assistant.values.errors import PhichatError
from assistant.values.events import (
    ContextPlanned,
    Event,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
    Stage,
    StoreLost,
)
from assistant.values.lowered import lowered_words
from assistant.values.text import PlainStream, one_line, plain

STAGES = {
    Stage.LOADING: "Loading the model.",
    Stage.QUEUED: "Waiting.",
    Stage.PICTURES: "Looking at the pictures.",
    Stage.PREFILL: "Reading the chat.",
    Stage.REGIME: "Reading the chat again: it has become long.",
    Stage.STORING: "Waiting for the database.",
}
ENDS = {
    FinishReason.LENGTH: "The reply reached the longest length. /continue lets it go on.",
    FinishReason.STOPPED: "Stopped. /continue lets it go on.",
}
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")


class PlainReply:
    """Prints one reply in whole sentences, and each stage before it once."""

    def __init__(self, speaker: str) -> None:
        self._speaker = speaker
        self._stages: set[Stage] = set()
        self._shown = PlainStream()
        self._held = ""
        self._has_begun = False

    def hear(self, event: Event) -> None:
        """Take one event of the reply."""
        match event:
            case Progressed() if event.stage not in self._stages:
                self._stages.add(event.stage)
                click.echo(STAGES[event.stage])
            case ReplyStarted() if event.turn.model:
                self._speaker = one_line(event.turn.model, 40)  # another one, where it compares
            case ContextPlanned() if words := lowered_words(event.context):
                click.echo(words)
            case ReplyGrew():
                self._write(self._shown.feed(event.text))
            case StoreLost():
                click.echo(plain(event.message))
            case ReplyFailed():
                self._end()
                raise PhichatError(event.message, code=event.code)
            case ReplyEnded():
                self._end()
                reason = event.turn.finish_reason
                with suppress(KeyError):
                    click.echo(ENDS[reason] if reason else "")
                if event.unstored:
                    click.echo(plain(event.unstored))

    def _write(self, text: str) -> None:
        self._held += text
        *whole, self._held = _SENTENCE.split(self._held)
        for sentence in filter(None, whole):
            self._line(sentence)

    def _end(self) -> None:
        self._write(self._shown.finish())
        if self._held:
            self._line(self._held)
        self._held = ""

    def _line(self, words: str) -> None:
        click.echo(words if self._has_begun else f"{self._speaker}: {words}")
        self._has_begun = True
