"""Sessions and replies for every front end: the store, the model and the memory behind one API."""

from __future__ import annotations

from assistant.engine.engine import Engine, open_engine

__all__ = ["Engine", "open_engine"]
