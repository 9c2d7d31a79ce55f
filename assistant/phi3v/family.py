"""The family's entry in :mod:`assistant.families.registry`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistant.families.runtime import FamilyRuntime


class Phi3VFamily:
    """A :class:`assistant.families.family.ModelFamily`."""

    title = "Phi-3-vision"

    def runtime(self) -> FamilyRuntime:
        """Loading and computing; imports torch."""
        from assistant.phi3v.runtime import Phi3VRuntime

        return Phi3VRuntime()


FAMILY = Phi3VFamily()
