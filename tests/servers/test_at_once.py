"""Several chats at once on a server: none waits for another, each is stopped by itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from assistant.engine.engine import Engine
from assistant.engine.open import open_engine
from assistant.settings.load import load as load_settings
from assistant.values.conversation import FinishReason
from tests.engine.conftest import send
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Answer, Asked, Server, delta, event
from tests.servers.test_server_core import ended
from tests.tui.desk import chat, idle, screen, sees, send as type_and_send, shown, until
from tests.wait import LIMIT_S, wait_until
from tui.app import PhichatApp

CHATS = 8


def test_eight_chats_are_answered_at_once(server: Server, make: MakeEngine) -> None:
    together = threading.Barrier(CHATS)
    pieces = [event(delta("Hel")), lambda: together.wait(LIMIT_S), event(delta("lo.", "stop"))]
    server.answers = [Answer([*pieces, event("[DONE]")])]
    engine = make()
    with ThreadPoolExecutor(CHATS) as pool:
        replies = list(pool.map(lambda n: send(engine, None, f"Question {n}"), range(CHATS)))
    assert [ended(one).text for one in replies] == ["Hello."] * CHATS
    assert engine._lines == {}


def gated(server: Server) -> dict[str, threading.Event]:
    """Let the reply to each question wait in its middle for an event of that name."""
    gates = {name: threading.Event() for name in ("A", "B")}

    def rule(asked: Asked) -> Answer:
        question = str(asked.said[-1][1][-1])
        wait = gates[question].wait
        pieces = [event(delta(f"Half {question}")), lambda: wait(LIMIT_S)]
        return Answer([*pieces, event(delta(" and whole.", "stop")), event("[DONE]")])

    server.rule = rule
    return gates


def test_one_is_stopped_and_the_other_goes_on(server: Server, make: MakeEngine) -> None:
    gates, engine = gated(server), make()
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(send, engine, None, name) for name in gates)
        wait_until(lambda: len(server.chats) == 2, "both questions")
        sessions = _sessions(engine)
        engine.stop(sessions["A"])
        assert ended(first.result(LIMIT_S)).finish_reason is FinishReason.STOPPED
        gates["B"].set()
        assert ended(second.result(LIMIT_S)).text == "Half B and whole."
    gates["A"].set()


def _sessions(engine: Engine) -> dict[str, str]:
    """Return the sessions by their questions."""
    return {one.title: one.id for one in engine.store.sessions()}


@pytest.mark.slow
async def test_in_the_app(server: Server) -> None:
    gates = gated(server)
    engine = open_engine(load_settings({"model": server.address}))
    async with PhichatApp(engine, engine.model.settings).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "answers" in shown(pilot), "the server")
        await type_and_send(pilot, "A")
        await sees(pilot, "Half A")
        first = screen(pilot).chat.session_id
        assert first is not None
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen(pilot).chat.session_id is None, "a new chat")
        await type_and_send(pilot, "B")
        await sees(pilot, "Half B")
        assert "queued" not in shown(pilot)
        assert len(screen(pilot).chat.runs) == 2
        await pilot.press("escape")
        await idle(pilot)
        await sees(pilot, "stopped")
        assert len(screen(pilot).chat.runs) == 1, "esc ends the reply of the open chat alone"
        screen(pilot).open_session(first)
        await until(pilot, lambda: chat(pilot).turns and "Half A" in shown(pilot), "the first chat")
        gates["A"].set()
        await idle(pilot)
        await sees(pilot, "Half A and whole.")
        gates["B"].set()
    engine.close()
