"""Text and token ids of a growing reply, handed on to be stored."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from assistant.engine.stop_strings import StopStrings
from assistant.values.chances import Chances
from assistant.values.conversation import FinishReason, Thought, Timings, Turn, Usage
from assistant.values.generation import GenerationEnded
from assistant.values.prompt import Vocabulary

if TYPE_CHECKING:
    from assistant.engine.saver import Saver

CHECKPOINT_S = 0.5
"""Seconds of reply that a kill -9 may lose; a checkpoint is one small transaction."""


class ReplyWriter:
    """Text and ids of a growing reply, checkpointed as they are generated.

    ``begun`` are the ids of a half reply that goes on. At the first of the
    ``stop`` strings the reply is over: its text ends before the string, its ids
    with the last token that lies wholly before it. Half a stop string at the end
    of what was ``begun`` is taken back until it is clear how it goes on.
    ``chances`` are those of the ids that were begun.
    """

    def __init__(
        self,
        saver: Saver,
        turn: Turn,
        vocabulary: Vocabulary,
        *,
        stop: Iterable[str] = (),
        begun: Iterable[int] = (),
        chances: Chances | None = (),
    ) -> None:
        self._saver = saver
        self._turn = turn
        self._is_exact = vocabulary.is_exact
        self._stream = vocabulary.stream()
        self._ids: list[int] = []
        self._decoded = ""
        # (characters, ids) wherever a token ended with a whole character
        self._borders = [(0, 0)]
        for token in begun:
            self._decode(token)
        self._begun = len(self._ids)
        kept = chances or ()
        self._chances = list(kept[: self._begun]) if len(kept) >= self._begun else None
        self._stop = StopStrings(stop, self._decoded)
        self._text = self._decoded.removesuffix(self._stop.held)
        self._saved_at = time.monotonic()
        self._thought = turn.thought or Thought("", 0.0)
        self._thinking_since: float | None = None
        self.is_finished = False
        self.is_cut = False
        """Whether a stop string was found: what comes after it is not added any more."""

    @property
    def turn(self) -> Turn:
        """The reply as it stands here; the front end begins with it."""
        thought = self.thought
        return replace(self._turn, text=self._text, token_ids=tuple(self._ids), thought=thought)

    @property
    def thought(self) -> Thought | None:
        """The thinking so far, and its seconds; None where there was none."""
        since = self._thinking_since
        running = 0.0 if since is None else time.monotonic() - since
        thought = replace(self._thought, seconds=round(self._thought.seconds + running, 3))
        return thought if thought.text else None

    @property
    def chances(self) -> Chances | None:
        """The chance of each id; None where one is not known."""
        return tuple(self._chances) if self._chances else None

    @property
    def has_grown(self) -> bool:
        """Whether anything was generated."""
        return len(self._ids) > self._begun or self.thought != self._turn.thought

    def think(self, text: str) -> None:
        """Take what the model thinks; it is kept beside the reply."""
        if self._thinking_since is None:
            self._thinking_since = time.monotonic()
        self._thought = replace(self._thought, text=self._thought.text + text)
        self._checkpoint()

    def add(self, ids: tuple[int, ...], chances: Chances = ()) -> str:
        """Take ids and their chances; returns the text that they add to what is shown."""
        self._end_thought()
        if self._chances is not None and not self.is_cut:
            self._chances = [*self._chances, *chances] if len(chances) == len(ids) else None
        shown = ""
        for token in ids:
            if not self.is_cut:
                shown += self._add(token)
        self._checkpoint()
        return shown

    def _end_thought(self) -> None:
        """Stop the clock of the thinking, which runs while it does."""
        self._thought = self.thought or self._thought
        self._thinking_since = None

    def _checkpoint(self) -> None:
        if time.monotonic() - self._saved_at >= CHECKPOINT_S:
            self._saver.keep(self._decoded, tuple(self._ids), self.thought)
            self._saved_at = time.monotonic()

    def _decode(self, token: int) -> str:
        self._ids.append(token)
        text = self._stream.feed((token,))
        self._decoded += text
        if text:
            self._borders.append((len(self._decoded), len(self._ids)))
        return text

    def _add(self, token: int) -> str:
        shown, self.is_cut = self._stop.feed(self._decode(token))
        self._text += shown
        if self.is_cut:
            self._decoded = self._text
            count = max(ids for at, ids in self._borders if at <= len(self._text))
            del self._ids[count:]
            self._chances = self._chances and self._chances[:count]
        return shown

    def flush(self) -> str:
        """Return the text held back so far: an unfinished character, half a stop string."""
        rest = "" if self.is_cut else self._stop.flush() + self._stream.flush()
        self._text += rest
        return rest

    def finish(self, reason: FinishReason, ended: GenerationEnded | None = None) -> None:
        """Let the reply be stored as final, once; returns at once."""
        if self.is_finished:
            return
        self.is_finished = True
        timings = Timings(ended.load_s, ended.ttft_s, ended.decode_tokens_per_s) if ended else None
        self._saver.finish(
            replace(
                self.turn,
                finish_reason=FinishReason.STOP if self.is_cut else reason,
                usage=self._usage(ended) if ended else None,
                timings=timings,
            ),
            self.chances,
        )

    def _usage(self, ended: GenerationEnded) -> Usage:
        """Count the reply's tokens; a server counts those of this request only."""
        if self._is_exact:
            return replace(ended.usage, completion_tokens=len(self._ids))
        before = self._turn.usage.completion_tokens if self._turn.usage else self._begun
        return replace(ended.usage, completion_tokens=before + ended.usage.completion_tokens)
