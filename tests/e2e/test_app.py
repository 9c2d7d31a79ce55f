"""A person's first ten minutes, under Pilot, with the demo model in its own process.

Attach a picture file, ask, read a streamed and right answer, ask a follow-up,
attach another in turn 3, quit, start again, go on in the same conversation.
"""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from assistant.engine.engine import Engine
from assistant.engine.open import open_engine
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Role
from assistant.values.events import Phase
from tests.e2e.drawings import draw, says
from tests.tui.desk import composer, idle, sees, send, until
from tui.app import PhichatApp


def last_answer(engine: Engine) -> str:
    session = engine.store.latest_session()
    assert session is not None
    turn = engine.store.conversation(session).turns[-1]
    assert turn.role is Role.ASSISTANT
    return turn.text


async def ask(pilot: Pilot[None], engine: Engine, text: str) -> str:
    await send(pilot, text)
    await sees(pilot, text)
    await idle(pilot)
    return last_answer(engine)


async def attach(pilot: Pilot[None], path: Path) -> None:
    """As a typed path: alone in the composer, then enter."""
    await send(pilot, str(path))
    await until(pilot, lambda: composer(pilot).chips.files, f"{path.name} as a chip")


async def test_first_light(tmp_path: Path) -> None:
    one, two = draw(950_000, tmp_path), draw(950_001, tmp_path)
    assert one.colour != two.colour
    assert one.shape != two.shape

    settings = load_settings()
    engine = open_engine(settings)
    async with PhichatApp(engine, settings).run_test(size=(120, 40)) as pilot:
        await sees(pilot, "Stay with the demo model")  # the first run
        await pilot.press("up", "enter")
        await until(
            pilot, lambda: engine.model.status().phase is Phase.READY, "the model's loading"
        )
        await attach(pilot, one.path)
        answer = await ask(pilot, engine, "What colour is the shape?")
        assert says(answer, one.colour), answer
        await sees(pilot, answer.strip())
        await sees(pilot, f"Picture 1 · {one.path.name}")
        answer = await ask(pilot, engine, "And what shape is it?")
        assert says(answer, one.shape), answer
        await attach(pilot, two.path)
        answer = await ask(pilot, engine, "Which shape do you see here?")
        assert says(answer, two.shape), answer
        await sees(pilot, f"Picture 2 · {two.path.name}")
        await pilot.press("ctrl+q")
    engine.close()

    engine = open_engine(settings)
    session = engine.store.latest_session()
    async with PhichatApp(engine, settings, session_id=session).run_test(size=(120, 40)) as pilot:
        await sees(pilot, f"Picture 2 · {two.path.name}")
        answer = await ask(pilot, engine, "What colour is the shape in the first picture?")
        assert says(answer, one.colour), answer
        assert engine.store.latest_session() == session
    engine.close()
