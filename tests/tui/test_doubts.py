"""Doubts: unsure words are underlined, and a runner-up is followed as another version."""

from __future__ import annotations

from math import exp, log

from textual.pilot import Pilot
from textual.widgets import Static

from assistant.engine.chances import words_of
from assistant.values.chances import Chance
from assistant.values.generation import TokensGenerated
from tests.tui.desk import WIDE, Desk, idle, notices, screen, sees, send, shown, until
from tui.pages.doubts import DoubtsScreen


def said(desk: Desk, *chances: tuple[str, float, tuple[tuple[str, float], ...]]) -> None:
    """Have the core say these words, each with its probability and its runners-up."""
    encode = desk.core.facts().chat.vocabulary.encode
    desk.core.scripts.append([])
    for word, chance, others in chances:
        ids = encode(word)
        kept = tuple((encode(other)[-1], log(one)) for other, one in others)
        before = tuple(Chance(0.0) for _ in ids[1:])
        desk.core.scripts[-1].append(TokensGenerated(ids, (*before, Chance(log(chance), kept))))


async def asked(desk: Desk, pilot: Pilot[None]) -> None:
    said(
        desk,
        ("It", 0.9, ()),
        ("is", 0.8, ()),
        ("a", 0.4, (("b", 0.35), ("c", 0.2))),
        ("x", 0.1, (("y", 0.6),)),
    )
    await send(pilot, "What is it?")
    await idle(pilot)
    await sees(pilot, "It is a x")


async def test_doubtful_words_are_underlined_at_two_thresholds(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await asked(desk, pilot)
        await send(pilot, "/doubts")
        await until(pilot, lambda: isinstance(pilot.app.screen, DoubtsScreen), "the page")
        await sees(pilot, "2 doubtful words")
        reply = pilot.app.screen.query_one(".reply", Static)
        assert reply.content.plain == "It is a x"
        styles = {
            reply.content.plain[span.start : span.end]: str(span.style)
            for span in reply.content.spans
            if "underline" in str(span.style)
        }
        assert styles == {"a": "underline", "x": "bold underline"}
        await sees(pilot, "› ")
        assert "35.0 %  “b”" in shown(pilot)
        await pilot.press("right")
        await sees(pilot, "60.0 %  “y”")
        await pilot.press("shift+left", "shift+left")
        await sees(pilot, "80.0 %  “is”")


async def test_enter_goes_on_from_the_word_as_another_version(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await asked(desk, pilot)
        session = desk.store.latest_session()
        assert session is not None
        first = desk.store.conversation(session).turns[-1]
        await pilot.press("ctrl+up", "u")
        await until(pilot, lambda: isinstance(pilot.app.screen, DoubtsScreen), "the page")
        said(desk, ("now", 0.9, ()))
        await pilot.press("down", "enter")
        await idle(pilot)
        await sees(pilot, "It is c now")
        reply = desk.store.conversation(session).turns[-1]
        assert (reply.text, reply.parent) == ("It is c now", first.parent)
        assert [one.text for one in desk.store.siblings(reply.id)] == [first.text, reply.text]
        chances = desk.store.chances(reply.id)
        assert chances is not None
        likely = [round(exp(one.logprob), 2) for one in chances if one.logprob]
        assert likely == [0.9, 0.8, 0.2, 0.9]
        encode = desk.core.facts().chat.vocabulary.encode
        (others,) = [one.others for one in chances if one.others]
        assert [token for token, _ in others] == [encode("a")[-1], encode("b")[-1]]


async def test_a_reply_without_chances_says_so(desk: Desk) -> None:
    session = desk.chat("See", "Yes.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        await send(pilot, "/doubts")
        await until(pilot, lambda: notices(pilot), "a word")
        assert "How sure the model was of this reply is not known" in notices(pilot)[0]
        assert pilot.app.screen is screen(pilot)


def test_a_word_is_as_sure_as_its_least_likely_token(desk: Desk) -> None:
    from assistant.engine.chances import Token

    def token(text: str, chance: float) -> Token:
        return Token(1, text, log(chance))

    words = words_of([token("un", 0.9), token("likely", 0.3), token(" so", 0.8), token("", 1.0)])
    assert [(one.start, one.end, one.token) for one in words] == [(0, 8, 1), (9, 11, 2)]
