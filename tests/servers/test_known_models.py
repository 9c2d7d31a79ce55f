"""A Phi-3-vision behind a server: its own processor's pixels and counts, BOS, no blank in front."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from assistant.phi3v.crops import crop_grid, plan_hd
from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.shrink import shrunk
from assistant.servers.pictures import AnyPictures, KnownPictures, known_model, pictures_for
from tests.engine.conftest import new_session, send
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Server, refusing, saying
from tests.servers.test_server_core import drawn, ended, same

NAME = "microsoft/Phi-3-vision-128k-instruct"
VLLM = {"id": NAME, "owned_by": "vllm", "max_model_len": 32768}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        (NAME, 16),
        ("microsoft/Phi-3.5-vision-instruct", 4),
        ("phi3.5v", 4),
        ("/models/phi-3-vision", 16),
        ("phi3-v", 16),
        ("phi-3-mini-128k-instruct", None),
        ("Phi-4-reasoning-vision", None),
        ("llava-phi-3-mini", None),
    ],
)
def test_which_names_are_ours(name: str, own: int | None) -> None:
    known = known_model(name)
    assert (known and known.pictures.default) == own
    assert isinstance(pictures_for(name, "vllm", None), KnownPictures if known else AnyPictures)


@settings(deadline=None, max_examples=25)
@given(st.integers(20, 2200), st.integers(20, 2200), st.sampled_from([1, 4, 16]))
def test_what_is_sent_gives_the_pixels_of_the_original(width: int, height: int, most: int) -> None:
    noise = torch.randint(0, 255, (height, width, 3), dtype=torch.uint8)
    image = Image.fromarray(noise.numpy())
    try:
        crops, size = Phi3VImageProcessor().crops(image, most)
    except ValueError:
        return
    sent = shrunk(image, most)
    assert sent.width <= width
    assert sent.height <= height
    again, other = Phi3VImageProcessor().crops(sent, most)
    assert size == other
    assert torch.equal(crops, again)


def test_a_size_that_the_processor_would_change_again_is_not_taken() -> None:
    for width, height, resized in ((400, 362, (336, 304)), (362, 400, (304, 336))):
        plan = plan_hd(*resized, 1)
        assert plan.resized == (336, 303)
        assert shrunk(Image.new("RGB", (width, height)), 1).size == (width, height)


def test_a_photograph_is_shrunk() -> None:
    assert shrunk(Image.new("RGB", (4000, 3000)), 16).size == (1344, 1008)
    assert shrunk(Image.new("RGB", (3000, 4000)), 16).size == (1008, 1344)
    assert shrunk(Image.new("RGB", (640, 480)), 16).size == (640, 480)


@pytest.mark.parametrize("owner", ["vllm", "someone"])
def test_what_the_server_will_do_is_counted(server: Server, make: MakeEngine, owner: str) -> None:
    server.models = [VLLM | {"owned_by": owner}]
    engine = make()
    small = drawn((300, 300), "a")
    session = new_session(engine, "What is it?", small)
    assert same(server.chats[0].said[0][1][0], small), "it enlarges by itself"
    (cost,) = engine.prompts.context(session).pictures
    assert cost.tokens == crop_grid(300, 300, cost.layout.detail).tokens()
    assert cost.tokens >= 1921, "a server enlarges it into 4 x 4 crops"
    body = server.chats[0].json
    assert "mm_processor_kwargs" not in body, "its own number needs no words"
    begins = {key: body.get(key) for key in ("add_special_tokens", "chat_template_kwargs")}
    asked = {"add_special_tokens": True, "chat_template_kwargs": {"bos": False}}
    assert begins == (asked if owner == "vllm" else dict.fromkeys(asked)), "one BOS, not two"


def test_crops_are_chosen_where_the_server_takes_them(server: Server, make: MakeEngine) -> None:
    server.models = [VLLM]
    engine = make()
    session = new_session(engine, "What is it?", replace(drawn((300, 300), "a"), num_crops=4))
    assert server.chats[0].json["mm_processor_kwargs"] == {"num_crops": 4}
    (cost,) = engine.prompts.context(session).pictures
    assert cost.tokens == crop_grid(300, 300, 4).tokens()
    server.rule = lambda asked: (
        refusing(400, "mm_processor_kwargs is not allowed: --trust-request-mm-kwargs")
        if "mm_processor_kwargs" in asked.json
        else None
    )
    assert ended(send(engine, session, "And now?")).text == "Hello."
    assert len(server.chats) == 3
    assert not engine.pictures.form.details, "nothing is left to choose"


def test_no_blank_in_front_of_an_answer(server: Server, make: MakeEngine) -> None:
    server.models = [VLLM]
    server.answers = [
        saying(" ", " A red", " circle.", finish="length"),
        saying(" And a", " line."),
    ]
    engine = make()
    session = new_session(engine, "What is it?")
    assert engine.store.conversation(session).turns[-1].text == "A red circle."
    reply = ended(list(engine.continue_reply(session)))
    assert reply.text == "A red circle. And a line.", "but not where a reply goes on"
    assert server.chats[1].json["add_special_tokens"], "its prompt begins with BOS too"


def test_the_page_of_a_picture_says_what_was_sent() -> None:
    layout = AnyPictures(None).layout(3000, 2000, 16)
    assert (layout.words, layout.size) == ("sent as 2048×1365 pixels", (2048, 1365))
    assert AnyPictures(None).layout(300, 200, 16).words == "sent as 300×200 pixels"
