"""The app with another family: a picture is answered, and no screen offers a choice of crops."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from assistant.engine.open import open_engine
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Role
from assistant.values.events import Phase
from tests.second_family.family import PICTURE_TOKENS
from tests.tui.desk import area, composer, idle, sees, send, shown, until
from tui.app import PhichatApp
from tui.pages.picture import PictureScreen


@pytest.mark.slow
async def test_a_chat_with_a_picture(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_MODEL", str(folder))
    monkeypatch.setenv("PHICHAT_MAX_NEW_TOKENS", "12")
    path = tmp_path / "red.png"
    Image.new("RGB", (60, 40), "red").save(path)
    settings = load_settings()
    engine = open_engine(settings)
    async with PhichatApp(engine, settings).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: engine.model.status().phase is Phase.READY, "the loading")
        await send(pilot, str(path))
        await until(pilot, lambda: composer(pilot).chips.files, "the chip")
        await sees(pilot, f"{PICTURE_TOKENS} tokens")
        await pilot.press("shift+tab", "enter")  # there is nothing to choose
        area(pilot).focus()
        await send(pilot, "What is it?")
        await idle(pilot)
        session = engine.store.latest_session()
        assert session is not None
        question, reply = engine.store.conversation(session).turns
        assert reply.role is Role.ASSISTANT
        assert reply.token_ids
        assert reply.usage is not None
        assert reply.usage.picture_tokens == PICTURE_TOKENS
        assert question.pictures[0].num_crops is None
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(pilot.app.screen, PictureScreen), "the picture")
        await sees(pilot, f"{PICTURE_TOKENS} tokens")
        assert "crop" not in shown(pilot)
        await pilot.press("c")
        await pilot.pause()
        assert isinstance(pilot.app.screen, PictureScreen), "there is nothing to choose"
    engine.close()
