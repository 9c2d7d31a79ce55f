"""vLLM 0.32 with phichat-vllm, recorded: the client sends what it took, and reads what it said."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from PIL import Image

from assistant.window.count import Counter
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Answer, Asked, Server
from tests.servers.vllm_talk import RECORDED, SETTINGS, talk


def seen(value: Any) -> Any:
    """Return a request with its pictures as pixels: another Pillow compresses otherwise."""
    if isinstance(value, dict):
        return {key: seen(one) for key, one in value.items()}
    if isinstance(value, list):
        return [seen(one) for one in value]
    if isinstance(value, str) and value.startswith("data:image/png;base64,"):
        image = Image.open(io.BytesIO(base64.b64decode(value.partition(",")[2])))
        return (image.mode, image.size, image.tobytes())
    return value


def test_the_recorded_conversation_is_the_one_that_we_have(
    server: Server, make: MakeEngine
) -> None:
    exchanges = json.loads(RECORDED.read_text(encoding="utf-8"))
    left = list(exchanges)

    def answer_to(asked: Asked) -> Answer:
        """Answer as the real server did, to the very same request alone."""
        recorded = left.pop(0)
        body = {"method": asked.method, "path": asked.path, "json": asked.json}
        if seen(body) != seen(recorded["asked"]):
            return Answer(
                [b"not what was recorded: python -m tests.real.record"], 500, "text/plain"
            )
        said = recorded["answer"]
        return Answer([said["body"].encode()], said["status"], said["type"])

    server.answer_to = answer_to  # type: ignore[method-assign]
    engine = make(**SETTINGS)
    turns = talk(engine)
    assert not left, "everything that was recorded was asked"
    first, second, third = turns[1::2]
    assert all(turn.text for turn in turns)
    assert first.text == first.text.lstrip(), "without the blank before an answer"
    assert first.usage
    assert second.usage
    assert third.usage
    assert first.usage.prompt_tokens == 15, "the official prompt, BOS included"
    assert second.usage.picture_tokens == 313
    assert third.usage.picture_tokens == 2 * 313
    assert third.usage.cached_tokens > second.usage.prompt_tokens, "the picture was not seen again"
    assert third.usage.completion_tokens == 24, "the half reply went on"
    counter = Counter(engine.model.facts())
    for at in (1, 3):
        prompt = counter.chat.render(map(counter.readable, turns[:at]), counter.slot)
        assert prompt.tokens == turns[at].usage.prompt_tokens, "as the server was asked to count"
    for turn in (first, second, third):
        tokens = engine.tokens(turn)
        assert "".join(token.text for token in tokens) == turn.text
        assert len(tokens) == turn.usage.completion_tokens
        assert all(token.others or "\ufffd" in token.text for token in tokens)
