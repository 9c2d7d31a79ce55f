"""The first start, and a model that is fetched from a real server while one chats."""

from __future__ import annotations

import re
import threading
import tomllib
from collections.abc import Iterable, Sequence

import pytest
from textual import events
from textual.pilot import Pilot

from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.hardware import Cpu, Hardware, Memory
from assistant.core.memory.places import choose_place, cpu_place
from assistant.core.memory.speed_estimate import Speed
from assistant.engine.model import Model
from assistant.models import catalogue as finding, known
from assistant.models.catalogue import FoundModel
from assistant.settings.schema import Settings
from assistant.values.errors import ModelError
from tests.models.conftest import MODEL, hub, model_files  # noqa: F401 (fixtures)
from tests.models.hub_server import Hub
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    WIDE,
    Desk,
    area,
    composer,
    idle,
    notices,
    picture_file,
    screen,
    sees,
    send,
    shown,
    status,
    type_text,
    until,
)
from tests.wait import LIMIT_S
from tui.pages.connect import ConnectScreen
from tui.pages.models import ConfirmScreen, ModelsScreen
from tui.widgets.model_rows import speed_words
from tui.widgets.welcome import Welcome

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


def welcome(pilot: Pilot[None]) -> Welcome:
    return screen(pilot).query_one(Welcome)


async def choose(pilot: Pilot[None], words: str) -> None:
    """Go from the text to the row with these words, and press enter."""
    await sees(pilot, words)
    choices = welcome(pilot).choices
    await pilot.press("up")
    await until(pilot, lambda: choices.has_focus, "the choices")
    rows = [str(option.prompt) for option in choices.options]
    place = next(i for i, row in enumerate(rows) if words in row)
    await pilot.press(*(["up"] * (len(rows) - 1 - place)), "enter")


async def fetch(pilot: Pilot[None], words: str) -> None:
    """Choose a model that is not here, and agree to its size."""
    await choose(pilot, words)
    await agree(pilot)


async def agree(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "the question")
    await pilot.press("up", "enter")


async def test_the_first_start_offers_what_there_is_and_whether_it_fits(new_desk: Desk) -> None:
    async with new_desk.app().run_test(size=(80, 24)) as pilot:
        await sees(pilot, "Get Phi-3-vision-128k  8.3 GB, MIT")
        text = shown(pilot)
        assert "The demo model answers: it knows only coloured shapes." in text
        assert "Get Phi-3.5-vision  8.3 GB, MIT" in text
        assert "Connect to a server" in text
        place, _ = choose_place(detect_hardware())
        plan = finding.find_models(new_desk.engine.model.settings, place)[1].plan
        assert plan is not None
        assert ("✗ doesn't fit here now" if plan.problem else "✓ fits here") in text
        assert area(pilot).has_focus  # it was never taken away
        assert pilot.app.screen is screen(pilot)
        await choose(pilot, "Stay with the demo model")
        file = new_desk.engine.model.settings.config_file
        await until(pilot, file.exists, "it is remembered")
        assert tomllib.loads(file.read_text()) == {"model": "demo"}
        await until(pilot, lambda: "Get Phi" not in shown(pilot), "it is offered no more")
        await sees(pilot, "Get a real model  F8")
        await type_text(pilot, "12")
        assert area(pilot).text == "12"
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Get a real model")
        assert "Get Phi" not in shown(pilot)  # asked once


async def test_the_mark_stays_on_its_row_when_models_come(
    new_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enter a moment later chooses what was marked, not the demo model."""
    looked = threading.Event()
    available = new_desk.engine.model.available

    def after_a_while(mentioned: Sequence[str]) -> list[FoundModel]:
        assert looked.wait(LIMIT_S)
        return available(mentioned)

    monkeypatch.setattr(new_desk.engine.model, "available", after_a_while)
    async with new_desk.app().run_test(size=(80, 24)) as pilot:
        await sees(pilot, "Stay with the demo model")
        choices = welcome(pilot).choices
        await pilot.press("up", "up")
        await until(pilot, lambda: choices.highlighted == 0, "the mark on the server")
        looked.set()
        await sees(pilot, "Get Phi-3.5-vision")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectScreen), "the question")


async def test_how_fast_it_is_here_stands_beside_that_it_fits(
    new_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = threading.Event()

    def speeds(self: Model, models: Iterable[FoundModel]) -> dict[str, Speed]:
        assert measured.wait(LIMIT_S)
        return {one.name: Speed(2e10, 1e11, 2.9, 1e9, 156.0) for one in models}

    monkeypatch.setattr(Model, "speeds", speeds)
    place = cpu_place(Hardware("Linux", Cpu("A CPU", 8), Memory(16 * 2**30, 12 * 2**30)))
    found = finding.find_models(new_desk.engine.model.settings, place)
    monkeypatch.setattr(new_desk.engine.model, "available", lambda _: found)
    words = "✓ fits here · slow here: about 2.5 minutes a picture (estimated)"
    async with new_desk.app().run_test(size=(80, 24)) as pilot:
        await sees(pilot, "✓ fits here · measuring how fast it is here …")
        measured.set()
        await sees(pilot, words)
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelsScreen), "the models")
        await sees(pilot, words)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.02, "about a second a picture (estimated)"),
        (4.2, "about 4 seconds a picture (estimated)"),
        (45.0, "slow here: about 45 seconds a picture (estimated)"),
        (120.0, "slow here: about 2 minutes a picture (estimated)"),
        (156.0, "slow here: about 2.5 minutes a picture (estimated)"),
    ],
)
def test_words_of_a_speed(seconds: float, words: str) -> None:
    assert speed_words(seconds) == words


@pytest.mark.slow
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
        await fetch(pilot, "Get Tiny-vision")
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
        await pilot.press("1")
        await agree(pilot)
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


@pytest.mark.slow
async def test_a_download_that_fails_is_one_sentence(
    new_desk: Desk,
    hub: Hub,  # noqa: F811
    tiny_known: None,
) -> None:
    hub.refuses[MODEL] = (404, {"X-Error-Code": "RepoNotFound"})
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await fetch(pilot, "Get Tiny-vision")
        await until(pilot, lambda: len(notices(pilot)) > 1, "the refusal")
        assert MODEL in notices(pilot)[-1]
        assert not status(pilot).download
        await sees(pilot, "Get Tiny-vision")  # it can be chosen again
        await fetch(pilot, "Get Tiny-vision")
        await until(pilot, lambda: len(notices(pilot)) > 3, "refused again")


async def test_a_model_that_cannot_be_used_changes_nothing(new_desk: Desk) -> None:
    def refuse(settings: Settings) -> None:
        raise ModelError("The model is broken: fetch it again.")

    new_desk.engine.model.restart = refuse  # type: ignore[method-assign]
    async with new_desk.app().run_test(size=WIDE) as pilot:
        screen(pilot).status_bar._use_model("elsewhere")
        await until(pilot, lambda: "broken" in " ".join(notices(pilot)), "the sentence")
        assert not new_desk.engine.model.settings.config_file.exists()


async def test_models_are_a_key_away_at_any_time(new_desk: Desk) -> None:
    new_desk.engine.model.settings.config_file.touch()
    async with new_desk.app().run_test(size=(80, 24)) as pilot:
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelsScreen), "the models")
        await sees(pilot, "● demo: in use")


async def test_what_is_typed_is_for_the_message_wherever_the_focus_is(new_desk: Desk) -> None:
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Get Phi-3-vision-128k")
        await pilot.press("up")
        await until(pilot, lambda: welcome(pilot).choices.has_focus, "the choices")
        for letter in "1 2 squares? what is 1?":
            key = {" ": "space", "?": "question_mark"}.get(letter, letter)
            pilot.app.post_message(events.Key(key, letter))
        await until(pilot, lambda: area(pilot).text == "1 2 squares? what is 1?", "all letters")
        assert pilot.app.screen is screen(pilot)


@pytest.mark.slow
async def test_nothing_is_fetched_without_a_key_that_names_the_size(
    new_desk: Desk,
    hub: Hub,  # noqa: F811
    tiny_known: None,
) -> None:
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await choose(pilot, "Get Tiny-vision")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "the question")
        assert re.search(r"Fetch [0-9.]+ [kMG]?B now", shown(pilot)), "it names the size"
        await pilot.press("enter")  # the row that is marked
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        assert not status(pilot).download
        assert not hub.requests(f"signed/{WEIGHTS}")


async def test_below_the_choices_is_the_text(new_desk: Desk) -> None:
    async with new_desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Get Phi-3-vision-128k")
        await pilot.press("up", "up")
        await sees(pilot, "enter takes it")
        await pilot.press("down", "down")
        await until(pilot, lambda: area(pilot).has_focus, "the text")
        await pilot.press("up", "escape")
        await until(pilot, lambda: area(pilot).has_focus, "the text again")


async def test_a_picture_leaves_the_welcome_whole_at_80_by_24(new_desk: Desk) -> None:
    """The ways to attach one give way to it."""
    async with new_desk.app().run_test(size=(80, 24)) as pilot:
        await sees(pilot, "Get Phi-3.5")
        assert "ctrl+o  pick a file" in shown(pilot)
        await composer(pilot).chips.put_first(picture_file("cat.png"))
        await sees(pilot, "cat.png")
        await until(pilot, lambda: "pick a file" not in shown(pilot), "the ways to go")
        assert "Stay with the demo" in shown(pilot)
        assert welcome(pilot).max_scroll_y == 0
        await pilot.press("backspace")
        await sees(pilot, "ctrl+o  pick a file")
