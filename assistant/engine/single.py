"""Answers that belong to no chat: nothing of them is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace

from assistant.engine.model import Model
from assistant.engine.pixels import not_stored, pixels_of
from assistant.engine.prompts import Prompts
from assistant.engine.replies import RELAID
from assistant.engine.stop_strings import StopStrings
from assistant.values.conversation import Draft, FinishReason, Parent
from assistant.values.errors import ModelError
from assistant.values.generation import GenerationEnded, TokensGenerated
from assistant.values.prompt import without_end
from assistant.values.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole text of an answer, and the reason for its end."""

    text: str
    finish_reason: FinishReason


def answer_alone(model: Model, prompts: Prompts, draft: Draft, sampling: Sampling) -> Answered:
    """Answer a message as the first of a chat that is not stored. Raises PhichatError."""
    model.check(sampling)
    above = prompts.above(None, Parent.HEAD)
    for tries_left in reversed(range(RELAID)):
        planned = prompts.plan(above, draft, sampling, count=model.core.count)
        model.layout.check(planned)
        prompt = model.layout.preview(planned).prompt
        room = min(planned.max_new_tokens, planned.limit - prompt.tokens)
        writer = _Writer(model, sampling)
        limited = replace(sampling, max_new_tokens=room)
        try:
            for event in model.core.generate(
                prompt, limited, pixels_of(planned, not_stored, draft.pictures)
            ):
                writer.hear(event)
        except ModelError as error:  # a server holds less than it said: it is laid out again
            if error.code != "context" or writer.text or not tries_left:
                raise
        else:
            return writer.answered()
    raise AssertionError("the last try returns or raises")


class _Writer:
    """Text of one answer, up to a stop string."""

    def __init__(self, model: Model, sampling: Sampling) -> None:
        self._core = model.core
        self._vocabulary = model.layout.chat.vocabulary
        self._stream = self._vocabulary.stream()
        self._stop = StopStrings(sampling.stop)
        self._is_cut = False
        self._reason = FinishReason.STOP
        self.text = ""

    def hear(self, event: object) -> None:
        """Take one event of the core."""
        if isinstance(event, TokensGenerated) and not self._is_cut:
            shown, self._is_cut = self._stop.feed(
                self._stream.feed(without_end(event.ids, self._vocabulary))
            )
            self.text += shown
            if self._is_cut:
                self._core.stop()
        elif isinstance(event, GenerationEnded):
            self._reason = event.finish_reason

    def answered(self) -> Answered:
        if self._is_cut:
            return Answered(self.text, FinishReason.STOP)
        return Answered(self.text + self._stop.flush() + self._stream.flush(), self._reason)
