"""Statements of SQLAlchemy, compiled once for all databases of a test process.

An engine has a cache of its own, and nearly each test an engine: a message that is sent takes 25
statements, and compiling them was a seventh of the CPU time of a test of tests/servers.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

_start = Engine.__init__


class _Shared:
    """The cache of one engine, in which others with such a dialect find what it has compiled."""

    def __init__(self, compiled: dict[tuple[Any, ...], Any]) -> None:
        self._compiled = compiled

    def get(self, key: tuple[Any, ...]) -> Any:
        return self._compiled.get(_in_any(*key))

    def __setitem__(self, key: tuple[Any, ...], statement: Any) -> None:
        self._compiled[_in_any(*key)] = statement


def _in_any(dialect: Any, *rest: Any) -> tuple[Any, ...]:
    return (type(dialect), getattr(dialect, "server_version_info", None), *rest)


def share() -> None:
    """Let each engine from now on use the statements of those before it."""
    compiled: dict[tuple[Any, ...], Any] = {}

    def start(self: Engine, *arguments: Any, **options: Any) -> None:
        _start(self, *arguments, **options)
        self._compiled_cache = _Shared(compiled)  # type: ignore[assignment]

    Engine.__init__ = start  # type: ignore[method-assign]
