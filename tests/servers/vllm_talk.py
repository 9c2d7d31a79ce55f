"""A conversation with a Phi-3-vision on vLLM: recorded once, replayed by every test run.

`python -m tests.real.record` records it again, where the client sends another request on purpose.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from assistant.engine.engine import Engine
from assistant.values.conversation import Turn
from tests.engine.conftest import new_session, send
from tests.servers.test_server_core import drawn

RECORDED = Path(__file__).parent / "vllm_recorded.json"
NAME = "phi-3-vision"
SETTINGS = {"max_new_tokens": 12, "temperature": 0.0}


def talk(engine: Engine) -> tuple[Turn, ...]:
    """Speak of text and of two pictures, go on with a half reply; the turns as they are stored."""
    session = new_session(engine, "What is the capital of France?")
    send(engine, session, "And in here?", replace(drawn((64, 48), "a.png"), num_crops=1))
    send(engine, session, "Compare.", replace(drawn((40, 80), "b.png"), num_crops=1))
    list(engine.continue_reply(session))
    return tuple(engine.store.conversation(session).turns)
