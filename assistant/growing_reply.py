"""A reply on its way to the database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from assistant.conversation import FinishReason, Timings, Turn
from assistant.core import GenerationEnded
from assistant.errors import PhichatError
from assistant.phi3v.vocabulary import Vocabulary

if TYPE_CHECKING:
    from storage import Store

CHECKPOINT_S = 0.5
"""Seconds of reply that a kill -9 may lose; a checkpoint is one small transaction."""


class GrowingReply:
    """A reply on its way to the database: text and ids, checkpointed as they come."""

    def __init__(self, store: Store, turn: Turn, vocabulary: Vocabulary) -> None:
        self._store = store
        self._turn = turn
        self._stream = vocabulary.stream()
        self._ids: list[int] = []
        self._text = ""
        self._saved_at = time.monotonic()
        self._finished: Turn | None = None

    def add(self, ids: tuple[int, ...]) -> str:
        """Take ids; returns the text that they complete."""
        self._ids.extend(ids)
        text = self._stream.feed(ids)
        self._text += text
        if time.monotonic() - self._saved_at >= CHECKPOINT_S:
            self._store.checkpoint_reply(self._turn.id, self._text, self._ids)
            self._saved_at = time.monotonic()
        return text

    def flush(self) -> str:
        """What an unfinished character leaves at the end."""
        text = self._stream.flush()
        self._text += text
        return text

    def finish(self, reason: FinishReason, ended: GenerationEnded | None = None) -> Turn:
        """Store the reply as final, once. Raises StorageError."""
        if self._finished is None:
            self._finished = self._store.finish_reply(
                self._turn.id,
                text=self._text,
                token_ids=tuple(self._ids),
                finish_reason=reason,
                usage=ended.usage if ended else None,
                timings=(
                    Timings(ended.load_s, ended.ttft_s, ended.decode_tokens_per_s)
                    if ended
                    else None
                ),
            )
        return self._finished

    def try_to_finish(self, reason: FinishReason) -> Turn | None:
        """As :meth:`finish`, for when something has failed already: None if the store fails too."""
        try:
            return self.finish(reason)
        except PhichatError:
            return None
