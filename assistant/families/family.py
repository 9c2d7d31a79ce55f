"""Interface of a model family: its checkpoints, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assistant.families.sizes import ModelSize, Shape
from assistant.values.prompt import ChatFormat, PictureFormat

if TYPE_CHECKING:
    from PIL.Image import Image

    from assistant.families.runtime import FamilyRuntime


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the hub, known before any of its files is fetched.

    ``download_bytes`` are those of the files that are read. ``revision`` is the commit that
    ``pull`` fetches by default: its author's later changes are not taken unseen.

    For when a server has it: ``served_as`` is a pattern of its names there, ``shrink`` makes a
    picture smaller as the model's processor does, or returns it as it is. ``separator`` is a
    control token beside which texts are tokenized as in a chat.
    """

    id: str
    title: str
    about: str
    licence: str
    download_bytes: int
    revision: str
    size: ModelSize
    pictures: PictureFormat
    served_as: str = r"(?!)"
    shrink: Callable[[Image, int], Image] | None = None
    separator: str = ""


class Checkpoint(Protocol):
    """A model folder whose small files were read."""

    @property
    def context(self) -> int:
        """Longest sequence that the model was made for, in positions."""

    @property
    def chat(self) -> ChatFormat:
        """The chat template, with the folder's tokenizer."""

    @property
    def pictures(self) -> PictureFormat:
        """The picture format, with the folder's preprocessor."""

    def weights(self) -> Mapping[str, Shape]:
        """List names and shapes of the weights that the model reads, by config.json."""

    def is_ignored(self, name: str) -> bool:
        """Check that a stored weight is known and not read; others are refused."""

    def size(self, name: str) -> ModelSize:
        """Measure the stored weights by the headers of their files. Raises ModelError."""


class ModelFamily(Protocol):
    """One architecture, in its own package; :mod:`assistant.families.registry` finds it."""

    @property
    def title(self) -> str:
        """Its name on screens and in errors."""

    @property
    def known(self) -> Sequence[KnownModel]:
        """Models that lists offer."""

    def open(self, folder: Path, detail: int | None = None) -> Checkpoint:
        """Read a folder; ``detail`` is the setting for pictures. Raises ModelError."""

    def runtime(self) -> FamilyRuntime:
        """Return the torch half; only the worker calls it, because it imports torch."""
