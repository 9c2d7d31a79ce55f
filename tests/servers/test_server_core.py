"""A conversation with a real server: what it is sent, what comes back, what goes wrong."""

from __future__ import annotations

import io
import threading
from dataclasses import replace

import pytest
from PIL import Image, ImageChops

from assistant.pictures import decode
from assistant.servers import catalogue as looking, client, request as exchange
from assistant.servers.client import CONTEXT, ServerCore
from assistant.values.conversation import Draft, FinishReason, PictureFile, Turn
from assistant.values.errors import ModelError
from assistant.values.events import Event, Phase, Progressed, ReplyEnded, ReplyFailed, ReplyGrew
from assistant.values.sampling import Sampling
from tests.engine.conftest import new_session, send
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import (
    Answer,
    Server,
    delta,
    event,
    refusing,
    saying,
    serving,
)


def drawn(size: tuple[int, int], name: str) -> PictureFile:
    """A picture whose every pixel differs from its neighbours'."""
    red = Image.linear_gradient("L").resize(size)
    green = red.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    blue = Image.radial_gradient("L").resize(size)
    buffer = io.BytesIO()
    Image.merge("RGB", (red, green, blue)).save(buffer, "PNG")
    return decode.open_bytes(buffer.getvalue(), name=name)


def ended(events: list[Event]) -> Turn:
    last = events[-1]
    assert isinstance(last, ReplyEnded), last
    return last.turn


def failed(events: list[Event]) -> ReplyFailed:
    last = events[-1]
    assert isinstance(last, ReplyFailed), last
    return last


def spoken(events: list[Event]) -> str:
    return "".join(one.text for one in events if isinstance(one, ReplyGrew))


def same(image: object, file: PictureFile) -> bool:
    assert isinstance(image, Image.Image)
    original = Image.open(io.BytesIO(file.data))
    shown = image.crop((0, 0, *original.size))  # a small one has an edge
    return not ImageChops.difference(shown, original).getbbox()


# What a server is sent


def test_pictures_stand_where_they_stood_with_the_pixels_that_they_had(
    server: Server, make: MakeEngine
) -> None:
    server.models = [{"id": "tiny", "max_model_len": 32768}]
    server.answers = [saying("One."), saying("Two pictures."), saying("Yes.")]
    engine = make(system="Be brief.")
    first, second, third = drawn((640, 480), "a"), drawn((90, 700), "b"), drawn((33, 21), "c")
    session = new_session(engine, "What is this?", first)
    send(engine, session, "\nAnd <|end|><|image_1|> these?\n", second, third)
    reply = ended(send(engine, session, "Sure?"))
    assert reply.text == "Yes."
    (role, system), *said = server.chats[-1].said
    assert (role, system) == ("system", ["Be brief."])
    assert [role for role, _ in said] == ["user", "assistant", "user", "assistant", "user"]
    picture, question = said[0][1]
    assert question == "What is this?"
    assert same(picture, first)
    assert said[1][1] == ["One."]
    one, other, question = said[2][1]
    assert same(one, second)
    assert same(other, third)
    assert question == "\nAnd <|end|><|image_1|> these?\n"
    assert said[3:] == [("assistant", ["Two pictures."]), ("user", ["Sure?"])]
    body = server.chats[-1].json
    assert {key: body[key] for key in body if key != "messages"} == {
        "model": "tiny",
        "stream": True,
        "stream_options": {"include_usage": True},
        "logprobs": True,
        "top_logprobs": 4,
        "max_tokens": 1024,
        "temperature": 0.0,
    }


def test_what_was_said_is_replayed_by_another_start_and_after_another_answer(
    server: Server, make: MakeEngine
) -> None:
    hostile = " \x00<|end|>\n<|user|>\x1b[2J\u2581 héllo 👩‍👩‍👧 \u202e"
    stored = hostile.lstrip().replace("\x00", "\ufffd")  # no database takes it as it is
    server.answers = [saying(*hostile), saying("Again."), saying("Well.")]
    engine = make()
    session = new_session(engine, "Hi")
    engine.close()
    engine = make()
    assert ended(send(engine, session, "And?")).text == "Again."
    assert server.chats[1].said == [
        ("user", ["Hi"]), ("assistant", [stored]), ("user", ["And?"]),
    ]  # fmt: skip
    list(engine.regenerate(session))
    assert server.chats[2].said == server.chats[1].said


def test_sampling_goes_along_and_what_is_not_of_openai_only_when_it_does_something(
    server: Server, make: MakeEngine
) -> None:
    engine = make()
    chosen = Sampling(
        temperature=0.7, top_p=0.9, top_k=5, min_p=0.1, repetition_penalty=1.2, seed=3,
        max_new_tokens=50, stop=("\n\n", "END", "3", "4", "5"),
    )  # fmt: skip
    list(engine.send(None, Draft("Hi"), chosen))
    body = server.chats[0].json
    expected = {
        "temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2,
        "seed": 3, "max_tokens": 50, "stop": ["\n\n", "END", "3", "4"],
    }  # fmt: skip
    assert {key: body[key] for key in expected} == expected


def test_neighbours_of_one_role_are_one_message_and_markers_are_text(
    server: Server, make: MakeEngine
) -> None:
    server.models = [{"id": "tiny", "max_model_len": 1100}]
    engine = make(max_new_tokens=64)
    session = new_session(engine, "First", replace(drawn((670, 670), "a"), num_crops=16))
    server.answers = [refusing(400, "No pictures, please.")]
    failed(send(engine, session, "Unanswered"))
    server.answers = [saying("Hm.")]
    send(engine, session, "Another", replace(drawn((670, 670), "b"), num_crops=16))
    said = server.chats[-1].said
    assert said[0] == ("user", ["[picture 1 was left out]\nFirst"])
    assert said[1] == ("assistant", ["Hello."])
    role, (words, picture, question) = said[2]
    assert (role, words, question) == ("user", "Unanswered", "Another")
    assert isinstance(picture, Image.Image)
    assert len(said) == 3


def test_a_picture_is_sent_as_large_as_its_tiles_and_a_photograph_as_jpeg(
    server: Server, make: MakeEngine
) -> None:
    server.models = [{"id": "tiny", "max_model_len": 100_000}]
    noise = Image.effect_noise((2000, 1500), 90).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    engine = make(num_crops=1)
    new_session(engine, "Hi", decode.open_bytes(buffer.getvalue(), name="noise"))
    picture = server.chats[0].said[0][1][0]
    assert isinstance(picture, Image.Image)
    assert (picture.size, picture.format) == ((512, 384), "PNG")
    engine = make()
    new_session(engine, "Hi", decode.open_bytes(buffer.getvalue(), name="noise"))
    picture = server.chats[1].said[0][1][0]
    assert isinstance(picture, Image.Image)
    assert (picture.size, picture.format) == ((2000, 1500), "JPEG")
    large = decode.open_bytes(_png(Image.new("RGB", (6000, 300))), name="long")
    new_session(engine, "Hi", large)
    picture = server.chats[2].said[0][1][0]
    assert isinstance(picture, Image.Image)
    assert picture.size == (2048, 102)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_half_reply_goes_on(server: Server, make: MakeEngine) -> None:
    server.models = [{"id": "tiny", "owned_by": "vllm"}]
    server.answers = [saying("One, tw", finish="length"), saying("o, three.")]
    engine = make()
    session = new_session(engine, "Count.")
    assert engine.store.conversation(session).turns[-1].finish_reason is FinishReason.LENGTH
    reply = ended(list(engine.continue_reply(session)))
    assert (reply.text, reply.finish_reason) == ("One, two, three.", FinishReason.STOP)
    body = server.chats[1].json
    assert body["messages"][-1] == {"role": "assistant", "content": "One, tw"}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False


# The model, the key


def test_which_model_answers_and_how_much_it_reads(server: Server, make: MakeEngine) -> None:
    server.models = [{"id": "first", "max_model_len": 9000}, {"id": "some/other:7b"}]
    facts = make().model.facts()
    assert (facts.name, facts.context) == (f"{server.address}/v1", 9000)
    assert not facts.chat.vocabulary.is_exact
    engine = make(f"{server.address}/v1/chat/completions#some/other:7b")
    assert engine.model.facts().name == f"{server.address}/v1#some/other:7b"
    assert engine.model.facts().context == CONTEXT
    assert "8,192 tokens are assumed" in engine.model.status().detail
    new_session(engine, "Hi")
    assert server.chats[-1].json["model"] == "some/other:7b"
    assert make(context=5000).model.facts().context == 5000
    with pytest.raises(ModelError, match="has no model third: it has first, some/other:7b"):
        make(f"{server.address}#third").model.facts()
    assert make().model.at_server(server.address) == [
        f"{server.address}/v1#first", f"{server.address}/v1#some/other:7b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "context"),
    [({"context_length": 7000}, 7000), ({"context_window": 7001}, 7001),
     ({"meta": {"n_ctx": 7002, "n_ctx_train": 131072}}, 7002), ({"max_model_len": "x"}, CONTEXT)],
)  # fmt: skip
def test_other_servers_words_for_the_context(
    server: Server, said: dict[str, object], context: int
) -> None:
    server.models = [{"id": "tiny", **said}]
    assert ServerCore(server.address).facts().context == context


def test_the_key_goes_to_the_server_and_nowhere_else(
    server: Server, make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make()
    session = new_session(engine, "Hi")
    assert all("Authorization" not in one.headers for one in server.asked)
    monkeypatch.setenv("PHICHAT_SERVER_KEY", "sk-secret")
    server.answers = [refusing(401, "Wrong key.")]
    known = failed(send(engine, session, "Hi"))
    assert server.chats[-1].headers["Authorization"] == "Bearer sk-secret"
    assert "does not accept the key in PHICHAT_SERVER_KEY" in known.message
    with serving() as elsewhere:
        place = elsewhere.address.removeprefix("http://")
        there = {"Location": f"http://user:hidden@{place}/v1/chat/completions?k=hidden"}
        server.answers = [Answer(status=307, headers=there)]
        known = failed(send(engine, session, "Hi"))
        assert known.code == "redirect"
        assert f"redirects to {elsewhere.address}/v1: nothing was sent there" in known.message
        assert "hidden" not in known.message
        assert not elsewhere.asked
    assert b"sk-secret" not in b"".join(
        path.read_bytes() for path in engine.model.settings.data_dir.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize(
    "address",
    ["http://u:hidden@h/v1", "http://h/v1?key=hidden", "http://", "http://h:99999", "http://a b/",
     "https://h:x/hidden"],
)  # fmt: skip
def test_what_is_no_address_or_has_a_secret_in_it_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ModelError) as refusal:
        ServerCore(address)
    assert "hidden" not in str(refusal.value)


# Replies


def test_usage_and_rates_are_the_servers_where_it_tells(server: Server, make: MakeEngine) -> None:
    usage = {"prompt_tokens": 77, "completion_tokens": 3,
             "prompt_tokens_details": {"cached_tokens": 11}}  # fmt: skip
    server.answers = [saying("One ", "two ", "three.", usage=usage), saying("Hm, hm.")]
    engine = make()
    session = new_session(engine, "Hi")
    known = engine.store.conversation(session).turns[-1].usage
    assert known is not None
    assert (known.prompt_tokens, known.completion_tokens, known.cached_tokens) == (77, 3, 11)
    known = ended(send(engine, session, "Hi")).usage
    assert known is not None
    assert known.completion_tokens == 3  # "Hm, hm." at three bytes a token
    assert engine.prompts.context(session).is_estimate


def test_a_long_reply_comes_whole_and_a_stop_string_ends_one(
    server: Server, make: MakeEngine
) -> None:
    words = [f"word{number} " for number in range(1250)]
    server.answers = [saying(*words, finish="length"), saying("One. ST", "OP two.")]
    engine = make()
    events = send(engine, None, "Talk.")
    reply = ended(events)
    assert len(reply.text) > 10_000
    assert reply.text == spoken(events) == "".join(words)
    assert reply.finish_reason is FinishReason.LENGTH
    chosen = Sampling(stop=("STOP",))
    reply = ended(list(engine.send(None, Draft("Hi"), chosen)))
    assert (reply.text, reply.finish_reason) == ("One. ", FinishReason.STOP)


def test_a_server_that_never_ends_is_left(server: Server, make: MakeEngine) -> None:
    endless = (event(delta("x" * 1000)) for _ in range(10**9))
    server.answers = [Answer(endless)]  # type: ignore[arg-type]
    reply = ended(send(make(max_new_tokens=20), None, "Hi"))
    assert reply.finish_reason is FinishReason.LENGTH
    assert len(reply.text) < 4000
    assert server.gone.wait(10)


def test_stop_closes_the_connection_and_keeps_the_half_reply(
    server: Server, make: MakeEngine
) -> None:
    """In the middle of a reply, and while the server has not even begun to answer."""
    wait, is_asked = threading.Event(), threading.Event()
    pieces = [event(delta("Half ")), wait.wait, event(delta("never seen")), event("[DONE]")] * 2
    server.answers = [Answer([*pieces])]
    engine = make()
    events = []
    for one in engine.send(None, Draft("Hi")):
        events.append(one)
        if isinstance(one, ReplyGrew):
            engine.stop()
    reply = ended(events)
    assert (reply.text, reply.finish_reason) == ("Half ", FinishReason.STOPPED)
    wait.set()

    def silent() -> None:
        is_asked.set()
        wait.wait()

    wait.clear()
    original = server.answer_to

    def hold(asked: object) -> Answer:
        silent()
        return original(asked)  # type: ignore[arg-type]

    server.answer_to = hold  # type: ignore[method-assign, assignment]
    stopper = threading.Thread(target=lambda: (is_asked.wait(), engine.stop()))
    stopper.start()
    reply = ended(send(engine, None, "Hi"))
    stopper.join()
    assert (reply.text, reply.finish_reason) == ("", FinishReason.STOPPED)
    wait.set()


def test_a_context_that_is_smaller_than_it_was_said_is_learned(
    server: Server, make: MakeEngine
) -> None:
    server.models = [{"id": "tiny"}]
    engine = make()
    session = new_session(engine, "a" * 9000)
    server.answers = [
        refusing(400, "This model's maximum context length is 2048 tokens. However, you ask…"),
        saying("Short."),
    ]
    assert ended(send(engine, session, "b" * 600)).text == "Short."
    assert engine.model.facts().context == 2048
    assert server.chats[-1].said == [("user", ["b" * 600])]
    server.answers = [refusing(400, "x", type="exceed_context_size_error", n_ctx=1024)]
    known = failed(send(engine, session, "c"))
    assert known.code == "context"


LLAMA = "request (2208 tokens) exceeds the available context size (2048 tokens), try increasing it"
VLLM = (
    "This model's maximum context length is 2048 tokens. However, your prompt contains at least "
    "2049 input tokens, which exceeds this limit even without any output tokens."
)


@pytest.mark.parametrize(
    "refusal",
    [
        refusing(400, LLAMA, type="exceed_context_size_error", n_prompt_tokens=2208, n_ctx=2048),
        refusing(400, VLLM, type="BadRequestError", param="input_tokens"),
        refusing(400, "The context length is exceeded."),
    ],
    ids=["llama.cpp", "vLLM", "no numbers"],
)
def test_a_conversation_that_takes_more_than_was_estimated_is_cut(
    server: Server, make: MakeEngine, refusal: Answer
) -> None:
    server.models = [{"id": "tiny", "max_model_len": 2048}]
    engine = make(max_new_tokens=8)
    session = new_session(engine, "a" * 900)
    for letter in "bcd":
        send(engine, session, letter * 900)
    server.answers = [refusal, saying("Shorter.")]
    assert ended(send(engine, session, "e" * 900)).text == "Shorter."
    *_, refused, taken = server.chats
    assert len(taken.said) < len(refused.said)
    assert taken.said[-1] == ("user", ["e" * 900])
    assert engine.model.facts().context < 2048


def test_what_a_token_holds_is_learned_from_each_answer(server: Server, make: MakeEngine) -> None:
    engine = make()
    session = new_session(engine, "x" * 3000)
    asked = engine.prompts.context(session).used
    for known, context in ((2 * asked, 2048), (asked // 2, 4096)):
        server.answers = [saying("Well.", usage={"prompt_tokens": known})]
        list(engine.regenerate(session))
        assert engine.model.facts().context == pytest.approx(context, rel=0.02)


def test_a_parameter_that_a_model_does_not_take_is_left_out(
    server: Server, make: MakeEngine
) -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported with this model."
    value = "Unsupported value: 'temperature' does not support 0.0 with this model."
    server.answers = [
        refusing(400, words, param="max_tokens", code="unsupported_parameter"),
        refusing(400, value, code="invalid_request_body"),  # what some in between make of it
        saying("Hello."),
    ]
    engine = make(max_new_tokens=77)
    session = new_session(engine, "Hi")
    assert engine.store.conversation(session).turns[-1].text == "Hello."
    send(engine, session, "And?")
    assert len(server.chats) == 4  # what was learned stays
    for asked in server.chats[2:]:
        assert asked.json["max_completion_tokens"] == 77
        assert not {"max_tokens", "temperature"} & set(asked.json)
    server.answers = [refusing(400, "No seeds.", param="seed", code="unsupported_parameter")]
    known = failed(send(make(seed=3), None, "Hi"))  # what a person has set is not dropped silently
    assert (known.code, str(known.message)) == (
        "refused", f"{server.address}/v1 refuses this (error 400): No seeds"
    )  # fmt: skip


def test_a_server_that_keeps_refusing_what_it_was_not_sent(
    server: Server, make: MakeEngine
) -> None:
    server.answers = [refusing(400, "x", param="max_tokens", code="unsupported_parameter")]
    engine = make()
    assert failed(send(engine, None, "Hi")).code == "refused"
    first, second, *others = (set(asked.json) for asked in server.chats)
    assert first - second == {"max_tokens"}
    assert [len(second - one) for one in others] == [3, 4, 5], "what may be left out was left out"
    server.answers = [saying("Hello.")]
    assert ended(send(engine, None, "Hi")).text == "Hello."
    assert set(server.chats[-1].json) == second, "and is sent again, as that did not help"


def test_stop_ends_the_first_look_too(server: Server, make: MakeEngine) -> None:
    is_asked, wait = threading.Event(), threading.Event()
    server.models = Answer([is_asked.set, wait.wait])
    engine = make()
    engine.model.preload()  # who asks first, and who waits for them: both are stopped
    assert is_asked.wait(20)
    refused: list[str] = []

    def ask() -> None:
        with pytest.raises(ModelError) as refusal:
            engine.send(None, Draft("Hi")).__next__()
        refused.append(refusal.value.code)

    asking = threading.Thread(target=ask)
    asking.start()
    while not refused:
        engine.stop()
        asking.join(0.05)
    assert refused == ["stopped"]
    assert not server.chats
    wait.set()


# What goes wrong


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (refusing(400, "This model can't see \x1b[2Jimages.\n" + "x" * 999), "refused",
         "can't see pictures (error 400): This model can't see images. xxx"),
        (refusing(500, "image input is not supported - hint: provide the mmproj"), "refused",
         "can't see pictures (error 500): image input is not supported"),
        (refusing(401), "unauthorized", "wants a key: set PHICHAT_SERVER_KEY"),
        (refusing(403, "Not for you."), "unauthorized", "(error 403: Not for you)"),
        (refusing(404), "not_a_server", "There is no OpenAI-compatible server at"),
        (refusing(404, "The model tiny does not exist."), "no_such_model", "tiny does not exist"),
        (refusing(429, "Slow down."), "busy", "try again later"),
        (refusing(500, "CUDA out of memory"), "server_failed", "CUDA out of memory"),
        (Answer([b"<html>"], 502, "text/html"), "server_failed", "error 502"),
        (Answer([b"\xff\xfe\x00"], 400), "refused", "refuses this (error 400)."),
        (Answer([b"data: {\n\n"]), "malformed", "something else"),
        (Answer([b"data: [1]\n\n"]), "malformed", "something else"),
        (Answer([b"data: \xff\n\n"]), "malformed", "something else"),
        (Answer([event({"choices": [{"delta": {"content": 7}}]})]), "malformed", "something else"),
        (Answer([b"<html>Welcome</html>"], 200, "text/html"), "malformed", "something else"),
        (Answer([b"{}"], 200, "application/json"), "malformed", "something else"),
        (Answer([event({"error": {"message": "No blocks"}})]), "server_failed", "No blocks"),
        (Answer([b'{"error": "loading"}'], 200, "application/json"), "server_failed", "loading"),
        (Answer(status=301, headers={"Location": "/elsewhere"}), "redirect", "redirects to"),
        (Answer(status=302, headers={"Location": "http://[x/"}), "redirect", "no address"),
        (Answer([b"data: " + b"[" * 100_000 + b"\n\n"]), "malformed", "something else"),
        (Answer([b"x" * 1000] * 17_000), "malformed", "something else"),
    ],
)  # fmt: skip
def test_every_refusal_is_one_plain_sentence(
    server: Server,
    make: MakeEngine,
    answer: Answer,
    code: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "WAITS_S", (0.0,))  # it asks a busy server once more, at once
    server.answers = [answer]
    known = failed(send(make(), None, "Hi"))
    assert known.code == code
    assert words in known.message
    assert known.message.isprintable()
    assert len(known.message) < 500


def test_a_connection_that_breaks_keeps_the_half_and_can_be_asked_again(
    server: Server, make: MakeEngine
) -> None:
    cut = Answer([event(delta("Half a re"))], cut=True)
    quiet = Answer([event(delta("Half a re"))])
    done = Answer([event(delta("Whole.")), event(delta("", "stop"))], cut=True)
    server.answers = [cut, quiet, done]
    engine = make()
    known = failed(events := send(engine, None, "Hi"))
    assert known.code == "cut"
    assert spoken(events) == "Half a re"
    assert known.turn is not None
    assert (known.turn.text, known.turn.finish_reason) == ("Half a re", FinishReason.ERROR)
    assert failed(list(engine.resume(known.session_id))).code == "cut"
    reply = ended(list(engine.resume(known.session_id)))
    assert (reply.text, reply.finish_reason) == ("Whole.", FinishReason.STOP)
    assert server.chats[-1].said == [("user", ["Hi"])]


def test_a_server_that_goes_away_and_comes_back(server: Server, make: MakeEngine) -> None:
    engine = make("http://127.0.0.1:9")
    with pytest.raises(ModelError, match="Nothing answers at http://127") as refusal:
        engine.model.facts()
    assert refusal.value.code == "unreachable"
    assert engine.model.status().phase is Phase.FAILED
    with pytest.raises(ModelError):
        send(engine, None, "Hi")
    assert not engine.store.sessions()  # nothing was stored: the words are still in the composer
    good = make()
    with pytest.raises(ModelError):
        good.model.use("http://127.0.0.1:9")
    assert good.model.facts().name == f"{server.address}/v1"  # all stays as it was
    assert good.model.status().phase is Phase.READY
    server.models = refusing(503, "Loading model")
    with pytest.raises(ModelError, match="Loading model"):
        good.model.use(f"{server.address}/v1#tiny")
    server.models = refusing(404)
    good.model.use(f"{server.address}/v1#tiny")  # no list there: the name is taken
    assert ended(send(good, None, "Hi")).text == "Hello."


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"", b"[]", b"{}", b'{"data": [{}]}', b'{"data": 3}', b"\xff"]
)
def test_a_list_of_models_that_is_none(server: Server, body: bytes) -> None:
    server.models = Answer([body], 200, "application/json")
    with pytest.raises(ModelError, match=r"check the address|has no model"):
        ServerCore(server.address).facts()


def test_a_server_that_does_not_stream_is_understood(server: Server, make: MakeEngine) -> None:
    body = b"""{"choices": [{"message": {"role": "assistant", "content": "At once."},
                "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}"""
    server.answers = [Answer([body], 200, "application/json; charset=utf-8")]
    reply = ended(send(make(), None, "Hi"))
    assert reply.text == "At once."
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 2


def test_silence_is_not_waited_for_for_ever(
    server: Server, make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_here = threading.Event()
    server.answers = [Answer([event(delta("Half")), ended_here.wait])]
    engine = make()
    engine.model.facts()
    monkeypatch.setattr(exchange, "SILENCE_S", 0.2)
    known = failed(send(engine, None, "Hi"))
    assert known.code == "timeout"
    assert known.turn is not None
    assert known.turn.text == "Half"
    monkeypatch.setattr(looking, "LOOK_S", 0.2)
    server.models = Answer([ended_here.wait])
    with pytest.raises(ModelError, match="does not answer") as refusal:
        ServerCore(server.address).facts()
    assert refusal.value.code == "timeout"
    ended_here.set()


def test_proxies_are_for_other_machines(
    server: Server, make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert make().model.facts().context == 4096
    for proxy in ("http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense://"):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises(ModelError) as refusal:
            ServerCore("http://192.0.2.1").facts()
        assert refusal.value.code == "unreachable"


def test_a_server_that_has_gone_is_not_called_busy(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WAITS_S", (0.0,))
    with serving() as gone:
        engine = make(gone.address)
        send(engine, None, "Hi")
    events = send(engine, None, "Hi")
    assert failed(events).code == "unreachable"
    waits = [one.detail for one in events if isinstance(one, Progressed) and "again" in one.detail]
    assert waits == ["no answer; asked again in 0 s"]


def test_a_key_that_is_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_SERVER_KEY", "schlüssel\nX-Other: 1")
    with pytest.raises(ModelError, match="something else than a key"):
        ServerCore(server.address).facts()
    assert not server.asked


def test_nothing_is_sent_before_something_is_asked(server: Server, make: MakeEngine) -> None:
    engine = make()
    assert engine.model.status().phase is Phase.IDLE
    assert engine.model.status().is_server
    assert not server.asked
    send(engine, None, "Hi")
    assert [one.path for one in server.asked] == ["/v1/models", "/v1/chat/completions"]
    words = [one.detail for one in send(engine, None, "Hi") if isinstance(one, Progressed)]
    assert words[-1].startswith("waiting for 127.0.0.1:")


def test_the_store_remembers_what_chats_were_held_with(server: Server, make: MakeEngine) -> None:
    engine = make()
    new_session(engine, "Hi")
    mentioned = engine.store.models()
    assert mentioned == [f"{server.address}/v1"]
    found = {one.name: one for one in make("demo").model.available(mentioned)}
    assert found[f"{server.address}/v1"].kind == "server"


BILL = Sampling(schema='{"type": "object", "properties": {"total": {"type": "number"}}}')


def test_a_server_gets_the_schema_and_what_it_says_is_checked(
    server: Server, make: MakeEngine
) -> None:
    engine = make()
    server.answers = [saying('{"tot', 'al": 2.5}'), saying("Two and a half.")]
    turn = ended(list(engine.send(None, Draft("How much?"), BILL)))
    assert turn.text == '{"total": 2.5}'
    asked = server.chats[-1].json["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["strict"] is True
    assert asked["json_schema"]["schema"]["properties"] == {"total": {"type": "number"}}
    assert engine.model.status().warning == ""
    ended(list(engine.send(None, Draft("How much?"), BILL)))
    assert "not JSON" in engine.model.status().warning
    ended(list(engine.send(None, Draft("Hello?"))))
    assert "response_format" not in server.chats[-1].json


def test_a_schema_that_a_server_refuses_is_never_left_out(server: Server, make: MakeEngine) -> None:
    engine = make()
    server.answers = [refusing(400, "response_format is not supported", param="response_format")]
    failure = failed(list(engine.send(None, Draft("How much?"), BILL)))
    assert failure.code == "refused"
    assert "response_format is not supported" in failure.message
    assert len(server.chats) == 1
