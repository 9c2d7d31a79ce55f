"""Engines like those of the engine's own tests: what is laid out is looked at through the API."""

from __future__ import annotations

from tests.engine.conftest import empty_database, make

__all__ = ["empty_database", "make"]
