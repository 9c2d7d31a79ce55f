"""The real engine and the real store, asking a real server on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.engine.engine import Engine
from assistant.engine.open import open_engine
from assistant.settings.load import load as load_settings
from tests.engine.conftest import empty_database  # noqa: F401 (a fixture)
from tests.servers.openai_server import Server, serving

MakeEngine = Callable[..., Engine]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "PHICHAT_SERVER_KEY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as one:
        yield one


@pytest.fixture
def make(server: Server, empty_database: Path, tmp_path: Path) -> Iterator[MakeEngine]:  # noqa: F811
    """Engines on one database, made as the command line makes them; arguments are settings."""
    engines = []
    (tmp_path / "home").mkdir()
    shutil.copy(empty_database, tmp_path / "home" / "phichat.db")

    def make_engine(model: str | None = None, **settings: object) -> Engine:
        engine = open_engine(load_settings({"model": model or server.address, **settings}))
        engines.append(engine)
        return engine

    yield make_engine
    for engine in engines:
        engine.close()
