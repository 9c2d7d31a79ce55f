"""Chats that another user shares, in the app: read, and copied; a file has no users."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from assistant.engine.open import open_engine
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft, FinishReason
from storage.store import Store
from tests.conftest import ROOT
from tests.engine.conftest import picture
from tests.storage.postgres_server import PostgresServer
from tests.tui.desk import chat, screen, sees, send, shown, until
from tui.app import PhichatApp
from tui.pages.shared import SharedScreen
from tui.widgets.picture_drawing import PictureDrawing

REPLY = "A red square, says **alice**'s model."


@pytest.fixture
def database() -> Iterator[str]:
    """The address of bob, with whom alice shares one of her two chats."""
    try:
        server = PostgresServer()
    except OSError as error:
        pytest.skip(f"no PostgreSQL server could be started: {error}")
    try:
        page = (ROOT / "docs" / "postgresql.md").read_text("utf-8")
        server.script(re.findall("```sql\n(.*?)```", page, re.DOTALL)[0])
        Store.open(server.address("phichat_owner", "phichat")).close()
        with closing(Store.open(server.address("alice", "phichat"))) as alice:
            session, asked = alice.add_user_turn(None, Draft("What is it?", (picture("red"),)))
            reply = alice.start_reply(session, asked.id, model="tiny")
            alice.finish_reply(
                reply.id, text=REPLY, token_ids=None, finish_reason=FinishReason.STOP,
                usage=None, timings=None,
            )  # fmt: skip
            alice.add_user_turn(None, Draft("secret"))
            alice.share(session, ["bob"])
        yield server.address("bob", "phichat")
    finally:
        server.stop()


@pytest.mark.slow
async def test_a_shared_chat_is_read_and_copied(database: str) -> None:
    engine = open_engine(load_settings({"model": "http://127.0.0.1:9", "database": database}))
    async with PhichatApp(engine, engine.model.settings).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        assert "What is it?" not in shown(pilot)
        await send(pilot, "/shared")
        await until(pilot, lambda: isinstance(pilot.app.screen, SharedScreen), "the page")
        await sees(pilot, "A red square, says alice's model.")
        assert len(re.findall(r"\balice\b(?!')", shown(pilot))) == 2, (
            "in the list, over the question"
        )
        assert "secret" not in shown(pilot)
        await until(pilot, lambda: _drawn(pilot.app), "the picture")
        await pilot.press("enter", "down", "escape")
        assert isinstance(pilot.app.screen, SharedScreen)
        await pilot.press("i")
        await until(pilot, lambda: len(chat(pilot).turns) == 2, "the copy")
        assert chat(pilot).turns[1].text == REPLY
        mine = engine.store.sessions()
        assert [one.id for one in mine] == [screen(pilot).chat.session_id]
        assert mine[0].pictures == 1
    engine.close()


def _drawn(app: PhichatApp) -> bool:
    return any(one.drawn is not None for one in app.screen.query(PictureDrawing))


async def test_a_file_has_no_users() -> None:
    engine = open_engine(load_settings({"model": "http://127.0.0.1:9"}))
    async with PhichatApp(engine, engine.model.settings).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        await send(pilot, "/shared")
        await sees(pilot, "This database has no users, so nothing in it can be shared")
        await pilot.press("i", "enter", "escape", "escape")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
    engine.close()
