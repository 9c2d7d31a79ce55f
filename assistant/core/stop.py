"""How a generation is ended from outside."""

from __future__ import annotations


class Stopped(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The user stopped the generation."""
