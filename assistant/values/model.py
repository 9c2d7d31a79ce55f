"""Interface of a model that answers prompts: a local worker, a server, a test's script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from assistant.values.events import ModelStatus, Progressed, ThoughtGrew
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.prompt import ChatFormat, PictureFormat, Prompt
from assistant.values.sampling import Sampling

CoreEvent = Progressed | TokensGenerated | ThoughtGrew | GenerationEnded


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts of a model that laying out a prompt takes (no weights are read).

    ``folder`` is "" for a server; ``context`` is in positions. A prompt holds ``most_pictures`` at
    most (None: any number), as far as that is known.
    """

    name: str
    folder: str
    is_demo: bool
    context: int
    chat: ChatFormat
    pictures: PictureFormat
    most_pictures: int | None = None
    continues: bool = True
    """Whether it surely goes on from the middle of a reply."""


class Core(Protocol):
    """A model that answers: a local worker, a server, or a script of a test."""

    def facts(self) -> ModelFacts:
        """Read the facts of the chosen model. Raises ModelError when there is no such model."""

    def status(self) -> ModelStatus:
        """Return the current state of the model; never blocks."""

    def preload(self) -> None:
        """Start loading the model if it is not resident; returns at once."""

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        """Answer ``prompt``; ``pixels`` is asked only for pictures whose features are not resident.

        The last event is :class:`GenerationEnded`. Raises ModelError.
        """

    def count(self, prompt: Prompt) -> bool:
        """Have the texts of a prompt counted that were estimated; whether there were any.

        A server may be sent them: only what the user sends is counted. Raises ModelError (code
        ``stopped``) once :meth:`stop` was called meanwhile.
        """

    def line(self) -> Core:
        """Return what answers one chat: this, where requests wait for one another, or another.

        Its :meth:`stop` ends the request of that chat alone.
        """

    def read_ahead(self, prompt: Prompt, following: int, pixels: Callable[[str], Pixels]) -> bool:
        """Read the beginning of a prompt that will probably come, before it does.

        About ``following`` positions come after it. Returns, when that is over, whether all of it
        was read. It gives way to every reply; only a model that is loaded on this machine reads.
        """

    def stop_reading(self) -> None:
        """Give up what is read ahead; harmless when nothing is."""

    def forget(self, chat: str) -> None:
        """Give back what is kept of a session, once no request of it runs; returns at once."""

    def stop(self) -> None:
        """End the running generation within one token; harmless when nothing runs."""

    def kill_hung(self) -> None:
        """End a worker on this machine that does not react; takes seconds, harmless otherwise."""

    def close(self) -> None:
        """End the worker."""
