"""Generation of a reply: plan the window, stream tokens, checkpoint, retry once if it shrank."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from assistant.engine.head_start import HeadStart, asked_of_core
from assistant.engine.pixels import pixels_of
from assistant.engine.prompts import request
from assistant.engine.reply_writer import ReplyWriter
from assistant.engine.saver import Patience, Saver
from assistant.values.chances import Chances
from assistant.values.conversation import FinishReason, Turn
from assistant.values.errors import ModelError, PhichatError
from assistant.values.events import (
    ContextPlanned,
    Event,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
    ThoughtGrew,
)
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.model import Core
from assistant.values.prompt import ChatFormat, Prompt, without_end
from assistant.values.sampling import Parameters, Sampling
from assistant.window.layout import Layout, Planned

if TYPE_CHECKING:
    from storage.store import Store


RELAID = 8
"""Times that a question is planned at most: a server may refuse its length, then its pictures."""


AFTER_FAILURE_S = 2.0
"""Seconds to wait for the end of a reply that failed anyway to be stored."""


@dataclass(frozen=True, slots=True)
class Branch:
    """The beginning of a reply that is another version of one: its ids and their chances."""

    ids: tuple[int, ...]
    chances: Chances


class Replies:
    """Replies of one core to the questions of one store."""

    def __init__(
        self, store: Store, core: Core, layout: Layout, patience: Patience, *, summaries: bool
    ) -> None:
        self._store = store
        self._patience = patience
        self._core = core
        self._layout = layout
        self._summaries = summaries

    def answer(
        self,
        session_id: str,
        question: Turn,
        chosen: Sampling,
        *,
        planned: Planned | None = None,
        head_start: HeadStart | None = None,
        asked_crops: tuple[int | None, ...] | None = None,
        begun: Turn | None = None,
        branch: Branch | None = None,
        is_compared: bool = False,
    ) -> Iterator[Event]:
        """Stream the reply to a stored question; every way out leaves a finished reply.

        ``planned`` is the question's plan, if there is one, ``head_start`` the generation of it
        that runs already. ``asked_crops`` are the crops that the
        user chose for each picture of a question that was never shown to the model. ``begun`` is
        an unfinished reply to continue, ``branch`` the beginning of a new one. The session keeps
        its model where the reply ``is_compared``. If the core turns out to hold less than it said,
        the question is planned again.
        """
        vocabulary = self._layout.chat.vocabulary
        ids: tuple[int, ...] = () if branch is None else branch.ids
        chances: Chances | None = () if branch is None else branch.chances
        if begun is not None:
            ids = tuple(without_end(begun.token_ids or (), vocabulary))
            chances = self._store.chances(begun.id)
        if begun is None:
            reply = self._store.start_reply(
                session_id,
                question.id,
                model=self._layout.model,
                parameters=Parameters.of(chosen),
                is_compared=is_compared,
            )
        else:
            reply = self._store.reopen_reply(begun.id)
        self._patience.begin()
        saver = Saver(self._store, reply.id, self._patience)
        growing = ReplyWriter(
            saver, reply, vocabulary, stop=chosen.stop, begun=ids, chances=chances
        )
        try:
            yield ReplyStarted(session_id, growing.turn)
            for tries_left in reversed(range(RELAID)):
                try:
                    planned = planned or self._plan_stored(
                        session_id, question, chosen, asked_crops, ids
                    )
                    yield from self._stream(session_id, planned, chosen, growing, saver, head_start)
                    break
                except ModelError as error:
                    if error.code != "context" or growing.has_grown or not tries_left:
                        raise
                    planned = head_start = None
        except PhichatError as error:
            is_leaving = self._patience.is_leaving  # the worker was not waited for
            is_stopped = error.code == "stopped"
            if is_stopped:
                self._patience.begin()  # this stop does not end the wait for the database
            is_ours = is_leaving or is_stopped
            reason = FinishReason.STOPPED if is_ours else FinishReason.ERROR
            turn = _finish(growing, saver, reason)
            yield ReplyFailed(session_id, error.code, str(error), turn)
        finally:
            # the front end left in the middle (ctrl-C, a closed screen): keep the text so far
            if not growing.is_finished:
                _finish(growing, saver, FinishReason.STOPPED)

    def _plan_stored(
        self,
        session_id: str,
        question: Turn,
        chosen: Sampling,
        asked_crops: tuple[int | None, ...] | None,
        begun: tuple[int, ...],
    ) -> Planned:
        """Lay out a question that is stored already. Raises PhichatError when it can't fit."""
        read = partial(self._store.conversation, session_id, head=question.id)
        conversation = self._patience.reading(read)
        if asked_crops is not None:
            *earlier, last = conversation.turns
            pictures = tuple(
                replace(picture, num_crops=crops)
                for picture, crops in zip(last.pictures, asked_crops, strict=True)
            )
            conversation = replace(conversation, turns=(*earlier, replace(last, pictures=pictures)))
        asked = request(conversation, chosen, summaries=self._summaries, begun=begun)
        planned = self._layout.plan_to_send(asked, self._core.count, fresh=asked_crops is not None)
        self._layout.check(planned)
        assert planned.question is not None
        for picture, before in zip(planned.question.pictures, question.pictures, strict=True):
            if picture.num_crops != before.num_crops:
                self._store.set_picture_crops(session_id, picture.number, picture.num_crops)
        return planned

    def _stream(
        self,
        session_id: str,
        planned: Planned,
        chosen: Sampling,
        growing: ReplyWriter,
        saver: Saver,
        head_start: HeadStart | None,
    ) -> Iterator[Event]:
        preview = self._layout.preview(planned)
        yield ContextPlanned(session_id, preview.context)
        pixels = pixels_of(
            planned, lambda name: self._patience.reading(lambda: self._store.picture_data(name))
        )
        asked = asked_of_core(preview.prompt, session_id, planned, chosen)
        events = head_start.events() if head_start else self._core.generate(*asked, pixels)
        for event in events:
            if (notice := saver.notice()) is not None:
                yield notice
            if isinstance(event, Progressed):
                yield event
            elif isinstance(event, ThoughtGrew):
                growing.think(event.text)
                yield event
            elif isinstance(event, TokensGenerated):
                if text := growing.add(event.ids, event.chances):
                    yield ReplyGrew(text)
                if growing.is_cut:
                    self._core.stop()
            else:
                yield from self._end(session_id, growing, saver, event)

    def _end(
        self, session_id: str, growing: ReplyWriter, saver: Saver, ended: GenerationEnded
    ) -> Iterator[Event]:
        if text := growing.flush():
            yield ReplyGrew(text)
        self._patience.begin()  # a stop that ended the reply does not end this wait
        growing.finish(ended.finish_reason, ended)
        turn, unstored = yield from saver.wait()
        yield ReplyEnded(session_id, turn, unstored, growing.chances)


def _finish(growing: ReplyWriter, saver: Saver, reason: FinishReason) -> Turn | None:
    """Store what there is of a reply that failed; None if the database is away too."""
    growing.flush()
    growing.finish(reason)
    waiting = saver.wait(AFTER_FAILURE_S)
    try:
        while True:
            next(waiting)
    except StopIteration as over:
        turn, unstored = over.value
        return None if unstored else turn
    except PhichatError:
        return None


def generate_text(
    core: Core, chat: ChatFormat, prompt: Prompt, sampling: Sampling
) -> Generator[Event, None, str]:
    """Generate a reply that belongs to no conversation; returns its text, "" if it was stopped."""
    stream = chat.vocabulary.stream()
    text = ""
    for event in core.generate(prompt, sampling, _no_pixels):
        if isinstance(event, Progressed):
            yield event
        elif isinstance(event, TokensGenerated):
            text += stream.feed(event.ids)
        elif isinstance(event, GenerationEnded) and event.finish_reason is FinishReason.STOPPED:
            return ""
    return text + stream.flush()


def _no_pixels(pixels_sha256: str) -> Pixels:
    raise KeyError(pixels_sha256)
