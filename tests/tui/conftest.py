"""The desk, frozen clocks, no blinking, half cells."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_textual_snapshot
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.settings.load import load as load_settings
from storage.store import Store
from tests.byte_tokenizer import write_tokenizer
from tests.tui.desk import Clock, Desk, StagedCore, settled
from tests.tui.quiet import make_deterministic, slow_down_threads
from tests.tui.screenshots import normal
from tui.widgets.prompt_area import PromptArea

SMALLEST = 300
"""Tokens: the bytes, the word mark and the control tokens fit."""

pytest_textual_snapshot.normalize_svg = normal

MakeDesk = Callable[..., Desk]


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Stop what blinks, fades, expires or depends on the machine's speed."""
    make_deterministic(monkeypatch)
    if seconds := request.config.getoption("--slow-threads"):
        slow_down_threads(monkeypatch, seconds)
    monkeypatch.setattr(PromptArea, "_toggle_cursor_blink_visible", lambda self: None)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)
    monkeypatch.setattr(Model, "speeds", lambda self, models: {})  # it starts a process of torch


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database at the present schema: copying it is quicker than another migration."""
    path = tmp_path_factory.mktemp("store") / "phichat.db"
    Store.open(path).close()
    return path


@pytest.fixture(scope="session")
def byte_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer of single bytes: all that a scripted core needs of a model."""
    folder = tmp_path_factory.mktemp("bytes")
    write_tokenizer(folder, SMALLEST)
    return folder


@pytest.fixture
def make_desk(
    byte_folder: Path, empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeDesk]:
    desks: list[Desk] = []
    clock = Clock()
    for name, module in list(sys.modules.items()):
        if name.startswith("storage.") and hasattr(module, "utc_now"):
            monkeypatch.setattr(module, "utc_now", clock)

    def make(**options: object) -> Desk:
        core = StagedCore(byte_folder, **options)  # type: ignore[arg-type]
        settings = load_settings({})
        settings.config_file.parent.mkdir(exist_ok=True)
        settings.config_file.touch()  # without it this would be the first run
        store = Store.open(shutil.copy(empty_database, tmp_path / f"{len(desks)}.db"))
        engine = Engine(store, Model(settings, core))
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        desks.append(Desk(engine, store, core, clock, folder))
        return desks[-1]

    yield make
    for desk in desks:
        desk.engine.stop()
        desk.engine.close()


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()


@pytest.fixture
def snap_compare(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """The same, of a screen that shows the chats and what was counted."""

    def compare(app: App[None], *, run_before: Any = None, **how: Any) -> bool:
        async def scene(pilot: Pilot[None]) -> None:
            if run_before is not None:
                await run_before(pilot)
            await settled(pilot)

        return snap_compare(app, run_before=scene, **how)

    return compare
