"""The interface of a model, whether a local worker, a server or a script of a test answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from assistant.values.events import ModelStatus, Progressed
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling

CoreEvent = Progressed | TokensGenerated | GenerationEnded


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
