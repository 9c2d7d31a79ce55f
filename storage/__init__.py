"""Sessions on disk: tables, migrations, one :class:`Store`. Knows SQL; no model, no terminal."""

from __future__ import annotations

from storage.store import Store

__all__ = ["Store"]
