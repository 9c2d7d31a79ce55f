"""The demo model in its worker: half replies go on as if nothing had been, stop strings stop it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft, FinishReason, Turn
from assistant.values.events import Event, ReplyEnded
from assistant.values.sampling import Sampling
from assistant.worker.client import LocalCore
from storage.store import Store


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(Store.open(tmp_path / "phichat.db"), Model(load_settings(), LocalCore("demo")))
    yield engine
    engine.close()


@pytest.fixture
def drawing(tmp_path: Path) -> str:
    picture = Image.new("RGB", (336, 336), "white")
    ImageDraw.Draw(picture).ellipse((80, 80, 250, 250), fill=(220, 30, 30))
    picture.save(tmp_path / "drawing.png")
    return str(tmp_path / "drawing.png")


def ended(events: Iterator[Event]) -> tuple[str, Turn]:
    *_, last = events
    assert isinstance(last, ReplyEnded), last
    return last.session_id, last.turn


def test_a_reply_in_pieces_is_the_reply_in_one(engine: Engine, drawing: str) -> None:
    draft = Draft("What do you see?", (engine.pictures.open(drawing),))
    _, whole = ended(engine.send(None, draft, Sampling(max_new_tokens=64)))
    assert whole.finish_reason is FinishReason.STOP
    assert whole.token_ids is not None
    piece = Sampling(max_new_tokens=3)
    session, part = ended(engine.send(None, draft, piece))
    pieces = 1
    while part.finish_reason is FinishReason.LENGTH:
        assert part.token_ids == whole.token_ids[: 3 * pieces]
        session, part = ended(engine.continue_reply(session, piece))
        pieces += 1
    assert pieces > 2
    assert (part.token_ids, part.text) == (whole.token_ids, whole.text)


def test_a_stop_string_stops_the_worker(engine: Engine, drawing: str) -> None:
    draft = Draft("What do you see?", (engine.pictures.open(drawing),))
    _, whole = ended(engine.send(None, draft))
    at = len(whole.text) // 2
    stop = whole.text[at : at + 4]
    _, cut = ended(engine.send(None, draft, Sampling(stop=(stop,))))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason is FinishReason.STOP
    assert whole.token_ids is not None
    assert cut.token_ids == whole.token_ids[: len(cut.token_ids or ())]
    _, again = ended(engine.send(None, draft))
    assert again.text == whole.text, "the worker is ready for the next one"
