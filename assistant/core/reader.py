"""Reading a sequence: its pictures seen, the rest run through the decoder and into the KV cache."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch

from assistant.core.decode import Decoder
from assistant.core.embedding import embedded_chunks
from assistant.core.features import PictureFeatures, ViewsOf
from assistant.core.out_of_memory import with_room
from assistant.core.residency import Residency, Resident
from assistant.core.sequence import Sequence, Unit
from assistant.core.stop import Stopped
from assistant.families.runtime import VisionLanguageModel
from assistant.values.events import Progressed, Stage
from assistant.values.model import CoreEvent
from assistant.values.prompt import Slot

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Reading:
    """A sequence that is read and where it is cached; ``is_ahead``: no reply waits for it yet."""

    sequence: Sequence
    views_of: ViewsOf
    stop_requested: Callable[[], bool]
    entry: Resident | None = None
    is_ahead: bool = False

    def unread(self) -> tuple[list[Unit], int]:
        """Return the units not wholly cached, and the cached positions of the first one."""
        assert self.entry is not None
        length = self.entry.cache.length
        whole = self.sequence.units_within(length)
        return self.sequence.units[whole:], length - self.sequence.end_of(whole)


class Reader:
    """Reads for a model; makes room among what is resident where memory runs out."""

    def __init__(
        self, model: VisionLanguageModel, residency: Residency, features: PictureFeatures
    ) -> None:
        self.decoder = Decoder.for_device(model)
        self._model = model
        self._embed = model.embed_tokens
        self._residency = residency
        self._features = features

    def claim(self, reading: Reading) -> int:
        """Claim a cache entry for the sequence; returns the positions it holds."""
        sequence = reading.sequence
        regime = self._model.regime_of(sequence.length)
        reading.entry = None
        reading.entry = self._with_room(reading, lambda: self._residency.claim(sequence, regime))
        return reading.entry.cache.length

    def give_up(self, reading: Reading) -> None:
        """Forget the entry after a failure: its layers may disagree about how far they got."""
        if reading.entry is not None:
            self._residency.forget(reading.entry)

    def read(
        self, reading: Reading, stage: Stage, size: int
    ) -> Generator[CoreEvent, None, torch.Tensor]:
        """See the pictures that are not cached, then :meth:`prefill`.

        Obeys a stop between chunks and between parts of a picture.
        """
        yield from self.see(reading, reading.unread()[0], reading.stop_requested)
        return (yield from self.prefill(reading, stage, size))

    def see(
        self, reading: Reading, units: Iterable[Unit], stop_requested: Callable[[], bool]
    ) -> Generator[CoreEvent, None, None]:
        """Encode the pictures among ``units`` of which no features are kept."""
        with_room = partial(self._with_room, reading)
        yield from self._features.see(_slots(units), reading.views_of, stop_requested, with_room)

    def prefill(
        self, reading: Reading, stage: Stage, size: int
    ) -> Generator[CoreEvent, None, torch.Tensor]:
        """Run what is not cached through the decoder, in chunks of ``size`` and of one regime.

        Returns the hidden states of the last chunk.
        """
        entry = reading.entry
        assert entry is not None
        units, skip = reading.unread()
        cached = entry.cache.length
        total = reading.sequence.length - cached
        entry.cache.reserve(reading.sequence.length)
        hidden: torch.Tensor | None = None
        for chunk in embedded_chunks(units, self._embed, self._features, size, skip):
            if reading.stop_requested():
                raise Stopped
            yield Progressed(stage, entry.cache.length - cached, total)
            hidden = self._forward(reading, chunk)
        assert hidden is not None
        return hidden

    def forward_ids(self, reading: Reading, ids: list[Unit]) -> torch.Tensor:
        """Run tokens through the decoder and into the cache; returns [S, hidden], normed."""
        tokens = torch.tensor(ids, device=self._embed.weight.device)
        return self._forward(reading, self._embed(tokens))

    def _forward(self, reading: Reading, embeddings: torch.Tensor) -> torch.Tensor:
        """Run [S, hidden] through the decoder and into the cache; returns [S, hidden], normed."""
        entry = reading.entry
        assert entry is not None
        cache, length, size = entry.cache, entry.cache.length, entry.cache.nbytes

        def run() -> torch.Tensor:
            cache.crop(length)  # a pass that failed got further in some layers
            return self.decoder(embeddings, cache, obey if len(embeddings) > 1 else None)

        def obey() -> None:
            if reading.stop_requested():
                cache.crop(length)
                raise Stopped

        hidden = self._with_room(reading, run)
        if cache.nbytes != size:
            self._with_room(reading, lambda: self._residency.grew(entry))
        return hidden

    def _with_room(self, reading: Reading, compute: Callable[[], T]) -> T:
        """``compute()``; when memory runs out, once more with only this sequence resident."""
        if reading.is_ahead:
            return compute()

        def make_room() -> None:
            self._residency.forget_all_but(reading.entry)
            self._features.forget_all_but(_slots(reading.sequence.units))

        return with_room(compute, make_room)


def _slots(units: Iterable[Unit]) -> list[Slot]:
    return [unit for unit in units if isinstance(unit, Slot)]
