"""Pace of a streamed reply: its pieces counted, and the usage and speed that follow."""

from __future__ import annotations

import time
from collections.abc import Mapping

from assistant.values.conversation import FinishReason, Usage
from assistant.values.generation import GenerationEnded
from assistant.values.prompt import Prompt


class Pace:
    """Counts the pieces of one reply from the moment in which it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._first = self._last = 0.0
        self._events = self._tokens = 0
        self.size = 0
        """Characters so far."""

    def come(self, text: str) -> None:
        """Note that a piece came."""
        self._last = time.perf_counter()
        self._first = self._first or self._last
        self._events, self.size = self._events + 1, self.size + len(text)

    def count(self, tokens: int) -> None:
        """Add what a piece is in tokens, as they are estimated here."""
        self._tokens += tokens

    def ended(
        self, reason: FinishReason, counts: Mapping[str, int], prompt: Prompt
    ) -> GenerationEnded:
        """Return the end of the reply, by the server's ``counts`` where it sent some."""
        # most servers stream a token an event
        estimate = self._events if self._events > 1 else self._tokens
        completion = counts.get("completion_tokens", estimate)
        usage = Usage(
            counts.get("prompt_tokens", prompt.tokens),
            prompt.picture_tokens,
            counts.get("cached_tokens", 0),
            completion,
        )
        seconds = self._last - self._first
        rate = (completion - 1) / seconds if completion > 1 and seconds > 0 else 0.0
        ttft = self._first - self._started if self._first else 0.0
        return GenerationEnded(reason, usage, ttft, rate)
