"""Prompt-lookup speculation: what follows the same words earlier is proposed as what comes next.

Quotes, corrections and text read from pictures repeat what stands in the
conversation. A proposal is verified in one forward pass of all its tokens and
only what greedy decoding chooses anyway is kept. Source: Saxena 2023, "Prompt
lookup decoding".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from assistant.core.sequence import Unit

NGRAM = 3
"""Tokens that must be the same before something is proposed."""

WIDEST = 16
"""Most tokens in one proposal."""

NARROWEST = 4
"""Tokens in the first proposal; from there it doubles and halves with what is accepted."""

PATIENCE = 4
"""Tokens' worth of lost time after which proposing pauses."""

PAUSE = 32
"""Tokens of the first pause; each further one is twice as long."""


class Speculation:
    """Proposals for one reply, as many as pay.

    A forward pass of several tokens costs hardly more than one of a single
    token where reading the weights is the limit (GPUs, large models), and much
    more where arithmetic is. Nothing is assumed: both are timed. Times steer
    only how much is tried, never what is chosen. ``units`` is the sequence that
    grows.
    """

    def __init__(self, units: list[Unit]) -> None:
        self._units = units
        self._indexed = NGRAM
        self._after: dict[tuple[Unit, ...], int] = {}
        self._width = NARROWEST
        self._step_s = 0.0
        self._balance_s = 0.0
        self._paused = 2  # the first steps show what one costs
        self._pause = PAUSE

    def propose(self, most: int, forced: Callable[[], Iterable[int]] = tuple) -> list[int]:
        """Return what is likely to come next; often none.

        That is what is ``forced``, or else the tokens after the previous occurrence of the last
        :data:`NGRAM`.
        """
        units = self._units
        most = min(most, self._width)
        if self._paused or most < 1:
            return []
        if proposal := list(islice(forced(), most)):
            return proposal
        # an n-gram goes in once something follows it, so the newest never finds itself
        for end in range(self._indexed, len(units)):
            self._after[tuple(units[end - NGRAM : end])] = end
        self._indexed = max(self._indexed, len(units))
        start = self._after.get(tuple(units[-NGRAM:]))
        for unit in units[start : start + most] if start is not None else ():
            if not isinstance(unit, int):
                break  # a picture is never the next token
            proposal.append(unit)
        return proposal

    def took(self, proposed: int, chosen: int, seconds: float) -> None:
        """Record a forward pass of one token and ``proposed`` more that gave ``chosen`` tokens."""
        if not proposed:
            # one that was compiled first took a thousand times as long and says nothing
            known = self._step_s or seconds
            self._step_s = min(seconds, 0.8 * known + 0.2 * seconds)
            self._paused = max(0, self._paused - 1)
            return
        if chosen > proposed:
            self._width = min(2 * self._width, WIDEST)
        elif 2 * (chosen - 1) < proposed:
            self._width = max(self._width // 2, NARROWEST)
        limit = PATIENCE * self._step_s
        self._balance_s = min(self._balance_s + chosen * self._step_s - seconds, limit)
        if self._balance_s < -limit:
            self._balance_s = 0.0
            self._paused = self._pause
            self._pause *= 2
