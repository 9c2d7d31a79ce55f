"""A store on a real SQLite file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.conversation import FinishReason, Turn
from storage import Store


@pytest.fixture
def location(tmp_path: Path) -> Path:
    """Where a database may be made; there is none yet."""
    return tmp_path / "phichat.db"


@pytest.fixture(scope="session")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, made once: migrating takes longer than most tests do."""
    path = tmp_path_factory.mktemp("empty") / "phichat.db"
    Store.open(path).close()
    return path


@pytest.fixture
def store(location: Path, _empty: Path) -> Iterator[Store]:
    shutil.copy(_empty, location)
    opened = Store.open(location)
    yield opened
    opened.close()


@pytest.fixture
def answer(store: Store) -> Callable[..., Turn]:
    """Store a complete reply to a turn."""

    def write(session: str, turn: Turn, text: str = "Yes.") -> Turn:
        reply = store.start_reply(session, turn.id, model="demo")
        return store.finish_reply(
            reply.id,
            text=text,
            token_ids=(1, 2, 3),
            finish_reason=FinishReason.STOP,
            usage=None,
            timings=None,
        )

    return write
