"""Interface of a model family: what is done with its checkpoints without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assistant.families.sizes import ModelSize, Shape
from assistant.values.prompt import ChatFormat, PictureFormat

if TYPE_CHECKING:
    from assistant.families.runtime import FamilyRuntime


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the hub, as it is known before anything of it is fetched.

    ``download_bytes`` are those of its files that are read. ``revision`` is the commit that
    ``pull`` fetches unless another is asked for: later changes of its author are not taken unseen.
    """

    id: str
    title: str
    about: str
    licence: str
    download_bytes: int
    revision: str
    size: ModelSize
    pictures: PictureFormat


class Checkpoint(Protocol):
    """A model folder, its small files read."""

    @property
    def context(self) -> int:
        """The longest sequence the model was made for, in positions."""
        ...

    @property
    def chat(self) -> ChatFormat:
        """The chat template, with the folder's tokenizer."""
        ...

    @property
    def pictures(self) -> PictureFormat:
        """The picture format, with the folder's preprocessor."""
        ...

    def weights(self) -> Mapping[str, Shape]:
        """Names and shapes of the weights that the model reads, by config.json."""
        ...

    def size(self, name: str) -> ModelSize:
        """The size of what is stored, from the headers of its files. Raises ModelError."""
        ...


class ModelFamily(Protocol):
    """One architecture, by its own package; :mod:`assistant.families.registry` finds it."""

    @property
    def title(self) -> str:
        """Its name on screens and in errors."""
        ...

    @property
    def known(self) -> Sequence[KnownModel]:
        """Models that lists offer."""
        ...

    def open(self, folder: Path, detail: int | None = None) -> Checkpoint:
        """Read a folder; ``detail`` is the setting for pictures. Raises ModelError."""
        ...

    def runtime(self) -> FamilyRuntime:
        """The torch half; imports torch, so only the worker asks for it."""
        ...
