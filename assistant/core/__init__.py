"""The inference core: a resident model, its KV cache, the decode loop, the worker process.

This module and :mod:`assistant.core.client` are the side that the terminal
app sees: they never import torch. Everything else in this folder runs in the
worker process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from assistant.conversation import FinishReason, Usage
from assistant.events import ModelStatus, Progressed as CoreProgressed
from assistant.prompt import Prompt, Slot

__all__ = [
    "Core",
    "CoreEvent",
    "CoreProgressed",
    "GenerationEnded",
    "ModelFacts",
    "Pixels",
    "Prompt",
    "Sampling",
    "Slot",
    "TokensGenerated",
]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; ``temperature`` 0 is greedy.

    ``min_p`` drops tokens less likely than that share of the likeliest one;
    ``repetition_penalty`` divides the logits of ids that stand in the prompt or
    the reply (Keskar et al. 2019), 1 leaves them; ``stop`` are texts that end
    the reply, found by the engine, which knows text (the core knows ids only).
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_new_tokens: int = 1024
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pixels:
    """RGB pixels of one picture as the person sees it: ``width * height * 3`` bytes."""

    width: int
    height: int
    rgb: bytes


@dataclass(frozen=True, slots=True)
class TokensGenerated:
    """The ids that were chosen since the last event."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GenerationEnded:
    """The reply is over; seconds are wall clock measured in the worker."""

    finish_reason: FinishReason
    usage: Usage
    ttft_s: float
    decode_tokens_per_s: float
    load_s: float = 0.0


CoreEvent = CoreProgressed | TokensGenerated | GenerationEnded


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the app needs to know of a model to lay out prompts for it (no weights are read).

    A server (``is_server``) has no ``folder``; what is counted for it is an estimate.
    """

    name: str
    folder: str
    is_demo: bool
    num_crops: int
    num_img_tokens: int
    context: int
    is_server: bool = False


class Core(Protocol):
    """The seam behind which a local worker, a server or a test's scripted core stands."""

    def facts(self) -> ModelFacts:
        """Facts of the chosen model. Raises ModelError when there is no such model."""
        ...

    def status(self) -> ModelStatus:
        """The state of the model right now; never blocks."""
        ...

    def preload(self) -> None:
        """Start loading the model if it is not resident; returns at once."""
        ...

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        """Answer ``prompt``; ``pixels`` is asked only for pictures whose features are not resident.

        The last event is :class:`GenerationEnded`. Raises ModelError.
        """
        ...

    def stop(self) -> None:
        """End the running generation within one token; harmless when nothing runs."""
        ...

    def close(self) -> None:
        """End the worker."""
        ...
