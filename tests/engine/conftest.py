"""The real engine and the real store, on a core that says what a test tells it to."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.pictures import decode
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft, PictureFile
from assistant.values.events import Event, UserTurnStored
from assistant.values.prompt import Prompt
from storage.store import Store
from tests.byte_tokenizer import BYTES
from tests.scripted_core import ScriptedCore

MakeEngine = Callable[..., tuple[Engine, ScriptedCore]]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that has been through its migrations."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    Store.open(path).close()
    return path


@pytest.fixture
def make(random_folder: Path, empty_database: Path, tmp_path: Path) -> Iterator[MakeEngine]:
    """Makes engines on one database; keyword arguments are settings, or options of the core."""
    engines = []
    shutil.copy(empty_database, tmp_path / "phichat.db")

    def make_engine(
        *args: object, core: type[ScriptedCore] = ScriptedCore, **options: object
    ) -> tuple[Engine, ScriptedCore]:
        wanted = {k: options.pop(k) for k in ("max_new_tokens", "summaries") if k in options}
        scripted = core(random_folder, *args, **options)  # type: ignore[arg-type]
        store = Store.open(tmp_path / "phichat.db")
        engine = Engine(store, Model(load_settings(wanted), scripted))
        engines.append(engine)
        return engine, scripted

    yield make_engine
    for engine in engines:
        engine.close()


def picture(colour: str, size: tuple[int, int] = (40, 30)) -> PictureFile:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return decode.open_bytes(buffer.getvalue(), name=f"{colour}.png")


def send(engine: Engine, session: str | None, text: str, *files: PictureFile) -> list[Event]:
    return list(engine.send(session, Draft(text, files)))


def new_session(engine: Engine, text: str, *files: PictureFile) -> str:
    """Say the first thing; returns the session's id."""
    (stored, *_) = send(engine, None, text, *files)
    assert isinstance(stored, UserTurnStored)
    return stored.session_id


def said(prompt: Prompt) -> str:
    """Decode a prompt between its control tokens, as the byte tokenizer has it."""
    ids = [one for part in prompt.parts if isinstance(part, tuple) for one in part]
    spaced = (
        one - BYTES if one < BYTES + 256 else 32 for one in ids if BYTES <= one <= BYTES + 256
    )
    return bytes(spaced).decode()
