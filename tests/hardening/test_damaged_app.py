"""The app over damaged databases: whatever can't be read, it says a sentence and goes on."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest
from textual.pilot import Pilot

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.settings.load import load as load_settings
from assistant.values.errors import PhichatError
from storage.store import Store
from tests.hardening.test_damaged_databases import damage, sound
from tests.tiers import few_quick
from tests.tui.desk import NOON, StagedCore, area, notices, screen, shown, threads_ended, until
from tui.app import PhichatApp
from tui.widgets.session_list import SessionList

__all__ = ["sound"]

WORDS = "Where is the bird?"


async def walk(pilot: Pilot[None]) -> None:
    """Go through the list and over all pages, change what can be changed, and ask something."""
    await threads_ended(pilot)
    screen(pilot).query_one(SessionList).focus()
    for key in ("down", "enter", "down", "enter", "p", "f", "delete", "f7"):
        await pilot.press(key)
        await threads_ended(pilot)
    for keys in ("f3", "f4", "ctrl+f w h a t", "ctrl+f b enter", "f6 w", "f9", "f12", "f2", "f1"):
        await pilot.press(*keys.split())
        await threads_ended(pilot)
        for _ in range(3):
            if pilot.app.screen is not screen(pilot):
                await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), f"the chat after {keys}")
    for keys in ("ctrl+up left right escape", "ctrl+up up enter escape escape", "ctrl+r", "ctrl+t"):
        await pilot.press(*keys.split())
        await threads_ended(pilot)
    area(pilot).focus()
    area(pilot).load_text(WORDS)
    await pilot.press("enter")
    await until(pilot, lambda: screen(pilot).chat.running is None, "the end")
    await threads_ended(pilot)
    await pilot.press("ctrl+n")
    await threads_ended(pilot)
    area(pilot).load_text(f"{WORDS} 2")
    await pilot.press("enter")
    await until(pilot, lambda: screen(pilot).chat.running is None, "the end")
    await threads_ended(pilot)


async def attack(database: Path, folder: Path, tokenizer: Path, seed: int) -> None:
    """Damage a copy, drive the app over it; what was typed is stored, or still in the box."""
    path = Path(shutil.copy(database, folder / f"{seed}.db"))
    damage(path, seed)
    settings = load_settings({})
    settings.config_file.parent.mkdir(exist_ok=True)
    settings.config_file.touch()
    engine = Engine(partial(Store.open, path), Model(settings, StagedCore(tokenizer)))
    app = PhichatApp(engine, settings, clock=lambda: NOON)
    app.animation_level = "none"
    async with app.run_test(size=(100, 30)) as pilot:
        await walk(pilot)
        kept = shown(pilot)
        said = notices(pilot)
    try:
        stored = {hit.turn_id for hit in engine.store.search(f'"{WORDS}"')}
    except PhichatError:
        stored = set()
    engine.close()
    assert stored or WORDS in kept or said, f"seed {seed}: nothing was said"
    assert "Traceback" not in kept


@pytest.mark.parametrize("seed", few_quick([1, 0, 2, 106]))
async def test_the_app_goes_on_over_damage(
    sound: Path, tmp_path: Path, byte_folder: Path, seed: int
) -> None:
    # 106: an index is gone that storing a reply needs; its end was tried again for ever
    await attack(sound, tmp_path, byte_folder, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 200))
async def test_the_app_goes_on_over_much_damage(
    sound: Path, tmp_path: Path, byte_folder: Path, seed: int
) -> None:
    await attack(sound, tmp_path, byte_folder, seed)
