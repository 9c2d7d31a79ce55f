"""The known models of all families, the default one first."""

from __future__ import annotations

from assistant.families.family import KnownModel
from assistant.families.registry import families

KNOWN = tuple(known for family in families() for known in family.known)


def known_model(model_id: str) -> KnownModel | None:
    """Return the entry of an id, in upper or lower case, as on the hub."""
    return next((known for known in KNOWN if known.id.lower() == model_id.lower()), None)
