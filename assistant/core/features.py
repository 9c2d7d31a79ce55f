"""What the model sees of each picture: encoded once, kept in memory and, where slow, on disk."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial

import torch

from assistant.core.feature_files import FeatureFiles, fingerprint
from assistant.core.memory.sizes import CROP_BATCH
from assistant.core.stop import Stopped
from assistant.phi3v.vision import Phi3VImageEmbedding
from assistant.values.errors import ModelError
from assistant.values.events import Progressed, Stage
from assistant.values.prompt import Slot

SLOW_S = 0.5
"""Seconds of encoding from which a picture is worth a file: writing 17 crops takes 0.03 to 0.15 s
on a small machine and reading them back 0.02 to 0.05 s; a GPU encodes them in about that time."""

CropsOf = Callable[[Slot], tuple[torch.Tensor, tuple[int, int]]]
"""Fetches a picture's crops [n, 3, 336, 336] and its (height, width) after the HD transform."""

Guard = Callable[[Callable[[], torch.Tensor]], torch.Tensor]
"""Runs a computation, making room and trying again when memory runs out."""


class PictureFeatures:
    """Features [tokens, hidden] by picture (pixels and crops), at most ``budget`` bytes in memory.

    What a prompt needs stays while it is needed, whatever it takes.
    """

    def __init__(
        self, vision: Phi3VImageEmbedding, budget: int, files: FeatureFiles | None = None
    ) -> None:
        self._vision = vision
        self._budget = budget
        self._files = files
        self._weights: str | None = None
        self._held: OrderedDict[Slot, torch.Tensor] = OrderedDict()

    def __getitem__(self, slot: Slot) -> torch.Tensor:
        return self._held[slot]

    def see(
        self,
        slots: Iterable[Slot],
        crops_of: CropsOf,
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
            crops, size = crops_of(slot)
            started = time.perf_counter()
            features = self._encode(crops, size, stop_requested, guard)
            if features.shape[0] != slot.tokens:
                raise ModelError(
                    f"A picture takes {features.shape[0]} positions where {slot.tokens} were "
                    "planned: the model folder's preprocessor_config.json and config.json disagree."
                )
            self._held[slot] = features
            if self._files is not None and time.perf_counter() - started > SLOW_S:
                self._files.write(slot, self._fingerprint(), features)
        self._trim(self._budget, wanted)

    def forget_all_but(self, keep: Container[Slot]) -> None:
        """Give back all memory but that of these pictures."""
        self._trim(0, keep)

    def _trim(self, budget: int, keep: Container[Slot]) -> None:
        """Forget the pictures that were used longest ago, none of ``keep``."""
        size = sum(features.nbytes for features in self._held.values())
        for slot in [slot for slot in self._held if slot not in keep]:
            if size <= budget:
                return
            size -= self._held.pop(slot).nbytes

    def _encode(
        self,
        crops: torch.Tensor,
        size: tuple[int, int],
        stop_requested: Callable[[], bool],
        guard: Guard,
    ) -> torch.Tensor:
        merged = []
        for batch in torch.split(crops, CROP_BATCH):
            if stop_requested():
                raise Stopped
            merged.append(guard(partial(self._vision.encode_crops, batch)))
        rows, columns = (pixels // crops.shape[-1] for pixels in size)
        return guard(partial(self._vision.arrange, torch.cat(merged), rows, columns))

    def _read(self, slot: Slot) -> torch.Tensor | None:
        if self._files is None:
            return None
        like = self._vision.glb_GN
        stored = self._files.read(slot, self._fingerprint(), like.dtype)
        return None if stored is None else stored.to(like.device)

    def _fingerprint(self) -> str:
        if self._weights is None:
            self._weights = fingerprint(self._vision)
        return self._weights
