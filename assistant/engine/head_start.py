"""Generation that runs before its events are asked for: while a message is being stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import SimpleQueue
from threading import Thread

from assistant.engine.model import Model
from assistant.engine.pixels import not_stored, pixels_of
from assistant.values.conversation import Draft
from assistant.values.generation import Pixels
from assistant.values.model import Core, CoreEvent
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.window.layout import Planned


def asked_of_core(
    prompt: Prompt, session_id: str, planned: Planned, chosen: Sampling
) -> tuple[Prompt, Sampling]:
    """Return the prompt of a session, and the sampling with the room that is left after it."""
    room = planned.limit - prompt.tokens
    limited = replace(chosen, max_new_tokens=min(planned.max_new_tokens, room))
    return replace(prompt, chat=session_id), limited


class HeadStart:
    """A generation of ``core`` that a thread drives from now on, and that ends with the context.

    ``pixels`` is asked in that thread.
    """

    def __init__(
        self, core: Core, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> None:
        self._core = core
        self._request = prompt, sampling, pixels
        self._events: SimpleQueue[CoreEvent | BaseException | None] = SimpleQueue()
        self._is_dropped = self._is_over = False
        Thread(target=self._drive, name="head start", daemon=True).start()

    @classmethod
    def of_first_message(
        cls, model: Model, session_id: str, planned: Planned, chosen: Sampling, draft: Draft
    ) -> HeadStart:
        """Begin to answer the first message of a session that is not stored yet."""
        prompt = model.layout.preview(planned).prompt
        asked = asked_of_core(prompt, session_id, planned, chosen)
        return cls(model.core.line(), *asked, pixels_of(planned, not_stored, draft.pictures))

    def __enter__(self) -> HeadStart:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def events(self) -> Iterator[CoreEvent]:
        """Yield what ``generate`` yields, and raise what it raises. To be called once."""
        try:
            while (event := self._events.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.drop()

    def drop(self) -> None:
        """End the generation if it runs; harmless afterwards."""
        self._is_dropped = True
        if not self._is_over:
            self._core.stop()

    def _drive(self) -> None:
        end: BaseException | None = None
        try:
            for event in self._core.generate(*self._request):
                self._events.put(event)
                if self._is_dropped:
                    self._core.stop()  # it was dropped before there was anything to stop
        except BaseException as error:
            end = error
        self._is_over = True
        self._events.put(end)
