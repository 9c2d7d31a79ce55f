"""The first start, and a model that is fetched from a real server while one chats."""

from __future__ import annotations

import re
import tomllib

import pytest
from textual import events
from textual.pilot import Pilot

from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.places import choose_place
from assistant.models import catalogue as finding, known
from assistant.settings import Settings
from assistant.values.errors import ModelError
from tests.models.conftest import MODEL, hub, model_files  # noqa: F401 (fixtures)
from tests.models.hub_server import Hub
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    WIDE,
    Desk,
    area,
    idle,
    notices,
    screen,
    sees,
    send,
    shown,
    status,
    threads_ended,
    type_text,
    until,
)
from tui.messages import FirstRun
from tui.pages.first_run import FirstRunScreen
from tui.pages.models import ConfirmScreen, ModelsScreen

WEIGHTS = "model.safetensors"


@pytest.fixture
def new_desk(make_desk: MakeDesk) -> Desk:
    """A machine on which phichat never ran."""
    desk = make_desk(is_demo=True)
    desk.engine.model.settings.config_file.unlink()
    return desk


@pytest.fixture
def tiny_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first known model is the small one of the local hub."""
    from dataclasses import replace

    tiny = replace(known.KNOWN[0], id=MODEL, title="Tiny-vision", revision="main")
    models = (tiny, known.KNOWN[1])
    monkeypatch.setattr(known, "KNOWN", models)
    monkeypatch.setattr(finding, "KNOWN", models)


async def welcomed(pilot: Pilot[None]) -> FirstRunScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, FirstRunScreen), "the welcome")
    await sees(pilot, "Stay with the demo model")
    found = pilot.app.screen
    assert isinstance(found, FirstRunScreen)
    return found


async def fetch(pilot: Pilot[None], key: str) -> None:
    """Choose a model that is not here, and agree to its size."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "the question")
    await pilot.press("up", "enter")


async def test_the_first_start_offers_what_there_is_and_whether_it_fits(new_desk: Desk) -> None:
    async with new_desk.app().run_test(size=(80, 24)) as pilot:
        await welcomed(pilot)
        text = shown(pilot)
        assert "The demo model is ready: it knows only coloured shapes." in text
        assert "1 Get Phi-3-vision-128k  8.3 GB, MIT" in text
        assert "2 Get Phi-3.5-vision  8.3 GB, MIT" in text
        assert "4 Connect to a server" in text
        place, _ = choose_place(detect_hardware())
        plan = finding.find_models(new_desk.engine.model.settings, place)[1].plan
        assert plan is not None
        assert ("✗ doesn't fit here now" if plan.problem else "✓ fits here") in text
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        file = new_desk.engine.model.settings.config_file
        await until(pilot, file.exists, "it is remembered")
        assert tomllib.loads(file.read_text()) == {"model": "demo"}
        await type_text(pilot, "12")
        assert area(pilot).text == "12"
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Demo model: it knows only coloured shapes.")
        await threads_ended(pilot)
        assert pilot.app.screen is screen(pilot)  # asked once


async def test_who_has_chats_or_begins_to_type_is_not_asked(new_desk: Desk) -> None:
    new_desk.chat("Hi", "Hello.")
    app = new_desk.app()
    async with app.run_test(size=WIDE) as pilot:
        await sees(pilot, "Hi")
        await threads_ended(pilot)
        assert app.screen is screen(pilot)
        await screen(pilot).action_new_session()
        area(pilot).insert("already typing")
        screen(pilot).post_message(FirstRun())  # the look at the disk took long
        await pilot.pause()
        assert app.screen is screen(pilot)


async def test_a_model_is_fetched_while_one_chats_stopped_gone_on_with_and_used(
    new_desk: Desk,
    hub: Hub,  # noqa: F811
    tiny_known: None,
) -> None:
    desk, used = new_desk, []

    def use(settings: Settings) -> None:
        used.append(settings.model)
        desk.engine.model.settings = settings

    desk.engine.model.restart = use  # type: ignore[method-assign]
    hub.hangs[WEIGHTS] = 100_000
    async with desk.app().run_test(size=WIDE) as pilot:
        await welcomed(pilot)
        await fetch(pilot, "1")
        await sees(pilot, "⇣ tiny-vision")
        await until(pilot, lambda: "%" in status(pilot).download, "progress")
        desk.say("I am the demo.")
        await send(pilot, "Who are you?")
        await idle(pilot)
        await sees(pilot, "I am the demo.")
        assert "⇣ tiny-vision" in shown(pilot)
        await pilot.press("f8")
        await sees(pilot, "Tiny-vision: is being fetched")
        await pilot.press("s")
        hub.stopped.set()  # what hangs lets go
        await until(pilot, lambda: not status(pilot).download, "it is stopped")
        assert any("what came is kept" in one for one in notices(pilot))
        hub.hangs.clear()
        await pilot.press("escape", "f8")
        await sees(pilot, "Go on fetching Tiny-vision")
        await fetch(pilot, "1")
        await until(pilot, lambda: "is here" in status(pilot).download, "it is here")
        asked = [headers.get("Range") for headers in hub.requests(f"signed/{WEIGHTS}")]
        assert asked[0] is None
        assert any(one and one != "bytes=0-" for one in asked[1:])  # nothing came twice
        await sees(pilot, "✓ tiny-vision is here · F8 uses it")
        await pilot.press("f8")
        await sees(pilot, "1 Use Tiny-vision")
        await pilot.press("enter")
        await until(pilot, lambda: used == [MODEL], "it is used")
        session = screen(pilot).chat.session_id
        assert session is not None
        file = desk.engine.model.settings.config_file
        await until(pilot, file.exists, "it is remembered")
        assert tomllib.loads(file.read_text()) == {"model": MODEL}
        await until(
            pilot,
            lambda: desk.engine.store.conversation(session).model == MODEL,
            "the chat's model",
        )
        assert not status(pilot).download


async def test_a_download_that_fails_is_one_sentence(
    new_desk: Desk,
    hub: Hub,  # noqa: F811
    tiny_known: None,
) -> None:
    hub.refuses[MODEL] = (404, {"X-Error-Code": "RepoNotFound"})
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await welcomed(pilot)
        await fetch(pilot, "1")
        await until(pilot, lambda: len(notices(pilot)) > 1, "the refusal")
        assert MODEL in notices(pilot)[-1]
        assert not status(pilot).download


async def test_a_model_that_cannot_be_used_changes_nothing(new_desk: Desk) -> None:
    def refuse(settings: Settings) -> None:
        raise ModelError("The model is broken: fetch it again.")

    new_desk.engine.model.restart = refuse  # type: ignore[method-assign]
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await welcomed(pilot)
        await pilot.press("escape")
        screen(pilot).status_bar._use_model("elsewhere")
        await until(pilot, lambda: "broken" in " ".join(notices(pilot)), "the sentence")
        assert not new_desk.engine.model.settings.config_file.exists()


async def test_models_are_a_key_away_at_any_time(new_desk: Desk) -> None:
    new_desk.engine.model.settings.config_file.touch()
    async with new_desk.app().run_test(size=(80, 24)) as pilot:
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelsScreen), "the models")
        await sees(pilot, "● demo: in use")


async def test_what_is_typed_when_the_welcome_comes_is_for_the_message(new_desk: Desk) -> None:
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await welcomed(pilot)
        for letter in "squares? what is 1?":
            key = {" ": "space", "?": "question_mark"}.get(letter, letter)
            pilot.app.post_message(events.Key(key, letter))
        await until(pilot, lambda: area(pilot).text == "squares? what is 1?", "all letters")
        assert pilot.app.screen is screen(pilot)


async def test_nothing_is_fetched_by_a_number_alone(
    new_desk: Desk,
    hub: Hub,  # noqa: F811
    tiny_known: None,
) -> None:
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await welcomed(pilot)
        await pilot.press("1")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "the question")
        assert re.search(r"Fetch [0-9.]+ [kMG]?B now", shown(pilot)), "it names the size"
        await pilot.press("enter")  # the row that is marked
        await until(pilot, lambda: isinstance(pilot.app.screen, FirstRunScreen), "the welcome")
        await pilot.press("escape")
        assert not status(pilot).download
        assert not hub.requests(f"signed/{WEIGHTS}")
