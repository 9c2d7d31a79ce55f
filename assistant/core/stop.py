"""The exception that ends a generation when the user stops it."""

from __future__ import annotations


class Stopped(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The user stopped the generation."""
