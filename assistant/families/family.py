"""Interface of a model family: what is done with its checkpoints without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assistant.families.runtime import FamilyRuntime


class ModelFamily(Protocol):
    """One architecture, by its own package; :mod:`assistant.families.registry` finds it."""

    @property
    def title(self) -> str:
        """Its name on screens and in errors."""
        ...

    def runtime(self) -> FamilyRuntime:
        """The torch half; imports torch, so only the worker asks for it."""
        ...
