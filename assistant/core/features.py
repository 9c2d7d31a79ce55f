"""Picture features: encoded once, cached in memory and, where encoding is slow, on disk."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from assistant.core.feature_files import FeatureFiles, fingerprint
from assistant.core.stop import Stopped
from assistant.families.runtime import VisionLanguageModel
from assistant.values.errors import ModelError
from assistant.values.events import Progressed, Stage
from assistant.values.prompt import Slot

SLOW_S = 0.5
"""Seconds of encoding from which a picture is worth a file: writing 17 crops takes 0.03 to 0.15 s
on a small machine and reading them back 0.02 to 0.05 s; a GPU encodes them in about that time."""

ViewsOf = Callable[[Slot], Any]
"""Fetches a picture as the model's ``encode`` takes it."""

Guard = Callable[[Callable[[], torch.Tensor]], torch.Tensor]
"""Runs a computation, making room and trying again when memory runs out."""


@dataclass(slots=True)
class _Begun:
    """A picture whose encoding was stopped: it goes on after the parts that are there."""

    slot: Slot
    views: Any
    parts: list[torch.Tensor]
    seconds: float = 0.0


class PictureFeatures:
    """Features [tokens, hidden] by picture (pixels and detail), at most ``budget`` bytes in memory.

    What a prompt needs stays while it is needed, whatever it takes. Of a picture that was stopped
    half-way the parts stay too, until another one is begun.
    """

    def __init__(
        self, model: VisionLanguageModel, budget: int, files: FeatureFiles | None = None
    ) -> None:
        self._model = model
        self._budget = budget
        self._files = files
        self._weights: str | None = None
        self._held: OrderedDict[Slot, torch.Tensor] = OrderedDict()
        self._begun: _Begun | None = None
        self.parts_computed = 0
        """Passes of the vision tower so far."""

    def __getitem__(self, slot: Slot) -> torch.Tensor:
        return self._held[slot]

    def see(
        self,
        slots: Iterable[Slot],
        views_of: ViewsOf,
        stop_requested: Callable[[], bool],
        guard: Guard,
    ) -> Iterator[Progressed]:
        """Have the features of these pictures in memory; reports those that are encoded.

        Raises ModelError when a picture's size is not what the prompt planned.
        """
        wanted = dict.fromkeys(slots)
        missing = []
        for slot in wanted:
            if slot in self._held:
                self._held.move_to_end(slot)
            elif (stored := self._read(slot)) is not None:
                self._held[slot] = stored
            else:
                missing.append(slot)
        for number, slot in enumerate(missing):
            yield Progressed(Stage.PICTURES, number, len(missing))
            features, seconds = self._encode(slot, views_of, stop_requested, guard)
            self._held[slot] = features
            if self._files is not None and seconds > SLOW_S:
                self._files.write(slot, self._fingerprint(), features)
        self._trim(self._budget, wanted)

    def forget(self, slots: Iterable[Slot]) -> None:
        """Give back the memory of these pictures."""
        for slot in slots:
            self._held.pop(slot, None)
            if self._begun is not None and self._begun.slot == slot:
                self._begun = None

    def forget_all_but(self, keep: Container[Slot]) -> None:
        """Give back all memory but that of these pictures."""
        if self._begun is not None and self._begun.slot not in keep:
            self._begun = None
        self._trim(0, keep)

    def _encode(
        self, slot: Slot, views_of: ViewsOf, stop_requested: Callable[[], bool], guard: Guard
    ) -> tuple[torch.Tensor, float]:
        """Encode a picture, from where it was stopped; returns its features and the seconds."""
        begun = self._begun
        if begun is None or begun.slot != slot:
            self._begun = None  # frees its memory before the next one takes as much
            begun = self._begun = _Begun(slot, views_of(slot), [])
        done = iter(tuple(begun.parts))

        def step(compute: Callable[[], torch.Tensor]) -> torch.Tensor:
            if (part := next(done, None)) is None:
                if stop_requested():
                    raise Stopped
                started = time.perf_counter()
                part = guard(compute)
                begun.parts.append(part)
                begun.seconds += time.perf_counter() - started
                self.parts_computed += 1
            return part

        try:
            features = self._model.encode(begun.views, step)
        except Stopped:
            raise
        except BaseException:
            self._begun = None
            raise
        self._begun = None
        if features.shape[0] != slot.tokens:
            raise ModelError(
                f"A picture takes {features.shape[0]} positions where {slot.tokens} were "
                "planned: the model folder's preprocessor_config.json and config.json disagree."
            )
        return features, begun.seconds

    def _trim(self, budget: int, keep: Container[Slot]) -> None:
        """Forget the pictures that were used longest ago, none of ``keep``."""
        size = sum(features.nbytes for features in self._held.values())
        for slot in [slot for slot in self._held if slot not in keep]:
            if size <= budget:
                return
            size -= self._held.pop(slot).nbytes

    def _read(self, slot: Slot) -> torch.Tensor | None:
        if self._files is None:
            return None
        like = self._model.embed_tokens.weight
        stored = self._files.read(slot, self._fingerprint(), like.dtype)
        return None if stored is None else stored.to(like.device)

    def _fingerprint(self) -> str:
        if self._weights is None:
            self._weights = fingerprint(self._model.vision)
        return self._weights
