"""A disk that hangs: typing, pasting and quitting go on, and nothing is sent that was not meant."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import tui.disk
from assistant.pictures import dropped, path_forms
from tests.tui.desk import (
    NARROW,
    Desk,
    area,
    composer,
    notices,
    open_page,
    screen,
    sees,
    send,
    until,
)
from tests.tui.test_pastes import paste
from tui.pages.attach import AttachScreen
from tui.widgets import folder_list, offers

DEAD = "/dead/mount"


@pytest.fixture(autouse=True)
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Every look below :data:`DEAD` hangs until the end of the test."""
    back = threading.Event()

    def hanging(look: Any) -> Any:
        def late(path: Any = ".", *more: Any, **named: Any) -> Any:
            if str(path).startswith(DEAD):
                assert threading.current_thread() is not threading.main_thread(), "it would freeze"
                back.wait()
                raise OSError("it is gone")
            return look(path, *more, **named)

        return late

    monkeypatch.setattr(tui.disk, "PATIENCE_S", 0.01)
    for module in (dropped.os, path_forms.os, offers.os, folder_list.os):
        for name in ("stat", "lstat", "scandir", "listdir"):
            monkeypatch.setattr(module, name, hanging(getattr(os, name)))
    for name in ("lexists", "exists", "isfile", "isdir"):
        monkeypatch.setattr(os.path, name, hanging(getattr(os.path, name)))
    yield back
    back.set()


@pytest.mark.slow
async def test_what_is_typed_appears_and_is_not_sent_as_words(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press(*f"see {DEAD}/a.png or @{DEAD}/b")
        assert area(pilot).text == f"see {DEAD}/a.png or @{DEAD}/b"
        await pilot.press("tab", *" or so", "enter")
        await until(pilot, lambda: notices(pilot), "the sentence")
        assert "The disk that the message names does not answer" in notices(pilot)[-1]
        assert area(pilot).text.endswith(" or so")
        assert not desk.engine.store.sessions()
        await pilot.press("escape", "escape", "escape")
        await send(pilot, "Hello")
        await sees(pilot, "▌  Hello")


async def test_a_paste_becomes_words(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        paste(pilot, f"{DEAD}/a.png")
        await until(pilot, lambda: area(pilot).text == f"{DEAD}/a.png", "the words")
        assert not composer(pilot).chips.children


async def test_the_dialog_goes_on(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await open_page(pilot, "ctrl+o", *f"{DEAD}/")
        dialog = pilot.app.screen
        assert isinstance(dialog, AttachScreen)
        assert dialog._line.value == f"{DEAD}/"
        await pilot.press("tab", "escape")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
