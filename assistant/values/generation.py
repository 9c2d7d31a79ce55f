"""Input and output of a generation: pixels in, token ids and timings out."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.values.chances import Chances
from assistant.values.conversation import FinishReason, Usage


@dataclass(frozen=True, slots=True)
class Pixels:
    """RGB pixels of one picture as seen: ``width * height * 3`` bytes."""

    width: int
    height: int
    rgb: bytes


@dataclass(frozen=True, slots=True)
class TokensGenerated:
    """Ids that were chosen since the last event, and the chance of each where it is known."""

    ids: tuple[int, ...]
    chances: Chances = ()


@dataclass(frozen=True, slots=True)
class GenerationEnded:
    """The reply is over; seconds are wall clock measured in the worker."""

    finish_reason: FinishReason
    usage: Usage
    ttft_s: float
    decode_tokens_per_s: float
    load_s: float = 0.0
