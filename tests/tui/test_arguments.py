"""Slash commands with wrong, missing and surplus arguments: nothing happens, nothing is lost."""

from __future__ import annotations

import pytest

from tests.tui.desk import WIDE, Desk, area, idle, notices, opened, picture_file, sees, send, until
from tui.slashes import SLASHES, Slash
from tui.widgets.entered import CommandEntered, command_meant

PLAIN = [slash for slash in SLASHES if not slash.argument]
WRONG = {
    "/picture 99": "There is no picture 99 in this chat.",
    "/picture one": "There is no picture one in this chat.",
    "/region 99 0,0,1,1": "There is no picture 99 in this chat.",
    "/region 1 0,0": "part",
    "/pin 99": "This chat has no picture 99",
    "/pin #1 #99": "This chat has no picture 99",
    "/pin 1 and more": "Say which picture",
    "/unpin x": "Say which picture",
    "/recall": "Say which words",
    "/recall nowhere": "these words",
    "/recallall": "Say which words",
    "/schema a b c": "no type b",
    "/schema nosuch.json": "nosuch.json",
    "/export talk.doc": "Give a file that ends with",
    "/export ~nosuch/talk.doc": "Give a file that ends with",
    "/theme nosuch": "There is no theme nosuch: ",
}
IN_A_NEW_CHAT = (
    "/pin 1",
    "/rename A title",
    "/stopat END",
    "/export talk.md",
    "/region 1",
    "/picture 1",
)


@pytest.mark.parametrize("slash", PLAIN, ids=[slash.name for slash in PLAIN])
def test_a_command_that_takes_nothing_takes_no_words(slash: Slash) -> None:
    refused = command_meant(f"{slash.name} 99", slash.name, "99")
    assert refused == f"{slash.name} takes nothing after it: take the words out, then enter."
    assert command_meant(slash.name, slash.name, "") == CommandEntered(slash, "", slash.name)


async def test_nothing_happens_where_words_follow_one(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you", "More", "More to you")
    before = desk.engine.store.conversation(session)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        screens = list(pilot.app.screen_stack)
        for name in ("/delete", "/help", "/new"):
            await send(pilot, f"{name} 99")
            await sees(pilot, f"{name} takes nothing after it")
            assert area(pilot).text == f"{name} 99"
            assert pilot.app.screen_stack == screens
            area(pilot).set_text("")
    assert desk.engine.store.conversation(session) == before
    assert len(desk.engine.store.sessions()) == 1


async def test_a_wrong_argument_stays_typed(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you", files=[picture_file("a.png")])
    before = desk.engine.store.conversation(session)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        theme = pilot.app.theme
        for typed, why in WRONG.items():
            await send(pilot, typed)
            await until(pilot, lambda typed=typed: area(pilot).text == typed, f"{typed} is back")
            await until(pilot, lambda why=why: why in "".join(notices(pilot)[-1:]), why)
            await idle(pilot)
            assert pilot.app.theme == theme
            assert len(pilot.app.screen_stack) == 2
            area(pilot).set_text("")
        assert len(set(notices(pilot))) == len(set(WRONG.values()))
    assert desk.engine.store.conversation(session) == before


async def test_a_command_for_a_chat_with_messages_stays_typed(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        for typed in IN_A_NEW_CHAT:
            await send(pilot, typed)
            await until(pilot, lambda typed=typed: area(pilot).text == typed, f"{typed} is back")
            await until(pilot, lambda: notices(pilot), "why")
            area(pilot).set_text("")


async def test_a_command_that_was_done_is_not_typed_again(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you", files=[picture_file("a.png")])
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await send(pilot, "/pin #1")
        await sees(pilot, "The model always sees #1.")
        await send(pilot, "/rename Another")
        await sees(pilot, "Another")
        await send(pilot, "/delete")
        await sees(pilot, "F7 brings it back")
        assert area(pilot).text == ""
