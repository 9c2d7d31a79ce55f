"""More servers in the wild: refusals in unknown words, counts that say little, odd streams."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from assistant.servers import catalogue, client
from assistant.servers.address import parse
from assistant.servers.refusals import BusyError, refused
from assistant.values.conversation import FinishReason
from assistant.values.errors import PhichatError
from tests.engine.conftest import new_session, picture, send
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Answer, Asked, Server, delta, event, refusing, saying
from tests.servers.test_server_core import ended, failed
from tests.servers.test_shapes import pictures_of

END = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
DONE = event("[DONE]")


def size_of(asked: Asked) -> int:
    return sum(len(part) for _, parts in asked.said for part in parts if isinstance(part, str))


def longer_than(characters: int, answer: Answer) -> Callable[[Asked], Answer | None]:
    return lambda asked: answer if size_of(asked) > characters else None


@pytest.mark.parametrize(
    "refusal",
    [refusing(500, "The model crashed", type="server_error"), refusing(400, "No.")],
    ids=["failure", "short"],
)
def test_what_passes_teaches_no_length(server: Server, make: MakeEngine, refusal: Answer) -> None:
    """A server that crashed once had a context of 20 tokens from then on."""
    engine = make(max_new_tokens=8)
    session = new_session(engine, "a")
    server.rule = lambda asked: refusal if len(asked.said) > 1 else None
    assert ended(send(engine, session, "b")).text == "Hello."
    assert "answered the question alone" in engine.model.status().warning
    server.rule = lambda asked: None
    assert ended(send(engine, session, "c")).text == "Hello."
    assert [words for _, words in server.chats[-1].said][::2] == [["a"], ["b"], ["c"]]
    assert not engine.prompts.context(session).left_out


def test_a_kind_of_error_is_no_field(server: Server, make: MakeEngine) -> None:
    engine = make(max_new_tokens=8)
    session = new_session(engine, "a")
    server.rule = lambda asked: refusing(500, "The model crashed", type="server_error")
    said = failed(send(engine, session, "b")).message
    assert "failed (error 500: The model crashed): try again" in said


@pytest.mark.parametrize(
    "refusal",
    [
        refusing(400, "A kérés 1529 szóból áll, de csak 1500 fér bele."),
        refusing(400, "La requête comporte 1529 jetons alors que le modèle en accepte 1500."),
        refusing(422, "E1007: rejected by the upstream validator"),
        refusing(400),
        refusing(500, "index out of range in self"),
    ],
    ids=["Hungarian", "French", "code", "nothing", "failure"],
)
def test_a_length_in_unknown_words_ends_no_chat(
    server: Server, make: MakeEngine, refusal: Answer
) -> None:
    engine = make(max_new_tokens=8)
    session = new_session(engine, "a" * 3000)
    server.rule = longer_than(4000, refusal)
    turn = ended(send(engine, session, "b" * 3000))
    assert turn.text == "Hello."
    assert server.chats[-1].said == [("user", ["b" * 3000])], "the question alone"
    assert "answered the question alone" in engine.model.status().warning
    if json.loads(bytes(refusal.pieces[0]).decode()) and refusal.status != 500:  # type: ignore[arg-type]
        before = len(server.chats)
        assert ended(send(engine, session, "c")).text == "Hello."
        assert len(server.chats) == before + 1, "it is remembered"
        assert engine.prompts.context(session).left_out, "and said"


@pytest.mark.parametrize(
    "words",
    [
        "prompt is 1529 tokens, window is 1500",
        "prompt of 1529 tokens does not fit into 1500",
        "prompt too long; exceeded max context length by 616 tokens",
        "Please reduce the length of the messages or completion.",
    ],
)
def test_a_chat_is_laid_out_again_until_it_fits(
    server: Server, make: MakeEngine, words: str
) -> None:
    """Numbers are as the server counts: none of them may be what was estimated."""
    engine = make(max_new_tokens=8)
    session = new_session(engine, "a" * 2000)
    for letter in "bc":
        send(engine, session, letter * 2000)
    server.rule = longer_than(4000, refusing(400, words))
    assert ended(send(engine, session, "d" * 900)).text == "Hello."
    taken = server.chats[-1]
    assert len(taken.said) > 1
    assert taken.said[-1] == ("user", ["d" * 900])
    assert engine.model.facts().context > 500


def test_an_end_for_its_length_before_a_word_is_a_full_context(
    server: Server, make: MakeEngine
) -> None:
    engine = make(max_new_tokens=8)
    session = new_session(engine, "a" * 3000)
    full = saying(finish="length", usage={"prompt_tokens": 1500, "completion_tokens": 0})
    server.rule = longer_than(4000, full)
    assert ended(send(engine, session, "b" * 3000)).text == "Hello."
    server.rule = lambda asked: full
    assert "has no room left for an answer" in failed(send(engine, None, "c")).message


@pytest.mark.parametrize(
    "words",
    ["Multi-image input isn't available for this checkpoint", "This model does not support images"],
)
def test_a_model_that_saw_a_picture_has_eyes(server: Server, make: MakeEngine, words: str) -> None:
    engine = make()
    session = new_session(engine, "a", picture("red"))
    server.rule = lambda asked: refusing(400, words) if pictures_of(asked) > 1 else None
    assert ended(send(engine, session, "b", picture("blue"))).text == "Hello."
    assert pictures_of(server.chats[-1]) == 1


def test_a_picture_that_takes_more_than_its_pixels_makes_no_text_longer(
    server: Server, make: MakeEngine
) -> None:
    """LLaVA takes 576 tokens for the smallest picture."""
    server.models = [{"id": "llava", "max_model_len": 4096}]
    engine = make(max_new_tokens=8)

    def counted(asked: Asked) -> Answer:
        tokens = size_of(asked) // 3 + 576 * pictures_of(asked)
        return saying("Hello.", usage={"prompt_tokens": tokens, "completion_tokens": 2})

    server.rule = counted
    session = new_session(engine, "a", picture("red"))
    assert engine.model.facts().context == 4096
    assert engine.prompts.context(session).used == pytest.approx(577, abs=30)
    assert ended(send(engine, session, "b" * 9000)).text == "Hello."
    assert pictures_of(server.chats[-1]) == 1


def test_a_template_around_a_short_question_makes_no_context_shorter(
    server: Server, make: MakeEngine
) -> None:
    """“Hi” counts 26 with a model's own instruction: the next question had lost the first reply."""
    server.models = [{"id": "m", "max_model_len": 4096}]
    engine = make(max_new_tokens=1000)

    def counted(asked: Asked) -> Answer:
        tokens = size_of(asked) // 4 + 90
        return saying("word " * 900, usage={"prompt_tokens": tokens, "completion_tokens": 900})

    server.rule = counted
    session = new_session(engine, "Hi")
    assert 3950 < engine.model.facts().context < 4096
    ended(send(engine, session, "And now?"))
    assert len(server.chats[-1].json["messages"]) == 3
    server.rule = lambda asked: saying("Well.", usage={"prompt_tokens": size_of(asked) // 2 + 90})
    ended(send(engine, None, "b" * 4000))
    assert 2500 < engine.model.facts().context < 2800


def test_a_hidden_instruction_longer_than_the_assumed_context_ends_no_chat(
    server: Server, make: MakeEngine
) -> None:
    engine = make(max_new_tokens=1000)
    server.rule = lambda asked: saying("word " * 300, usage={"prompt_tokens": 15_000})
    session = new_session(engine, "Hi")
    assert ended(send(engine, session, "And now?")).text
    assert len(server.chats[-1].json["messages"]) == 3


def test_a_count_of_what_is_new_is_no_cut(server: Server, make: MakeEngine) -> None:
    """Servers that keep what they read count the rest."""
    engine = make(max_new_tokens=8)
    server.answers = [saying("Well.", usage={"prompt_tokens": 1900, "completion_tokens": 2})]
    session = new_session(engine, "a" * 6000)
    for known in (60, 12, 400):
        server.answers = [saying("Well.", usage={"prompt_tokens": known, "completion_tokens": 2})]
        assert ended(send(engine, session, "b" * 60)).text == "Well."
        assert not engine.model.status().warning
        assert engine.model.facts().context == 4096


def test_a_model_that_can_not_stream_is_asked_for_the_whole(
    server: Server, make: MakeEngine
) -> None:
    engine = make()
    for words in ("Streaming isn't available on this deployment", "Nein."):
        server.rule = lambda asked, words=words: (  # type: ignore[misc]
            refusing(400, words) if "stream" in asked.json else None
        )
        assert ended(send(engine, None, "Hi")).text == "Hello."
        assert not {"stream", "stream_options"} & server.chats[-1].json.keys()


def parts(*contents: object) -> Answer:
    choices = [{"choices": [{"index": 0, "delta": {"content": one}}]} for one in contents]
    return Answer([*map(event, choices), END, DONE])


LINES = b"".join(f"data: {json.dumps(delta(text))}\n".encode() for text in ("Hel", "lo."))
HARMLESS = {
    "no empty lines": Answer([LINES, END.rstrip() + b"\n", b"data: [DONE]\n"]),
    "place as a text": Answer([event({"choices": [{"index": "0", "delta": {"content": "Hello."},
                                                   "finish_reason": "stop"}]}), DONE]),
    "parts of another kind": parts([{"type": "output_text", "text": "Hel"}], [{"text": "lo."}]),
    "parts that are texts": parts(["Hel", "lo"], ["."]),
    "an end without brackets": Answer([event(delta("Hello.")), END, event("done")]),
    "rubbish behind the end": Answer([event(delta("Hello.", "stop")), b"data: {bye\n\n"]),
    "words that keep a connection open": Answer([b"data: ping\n\n", b"data: : still here\n\n",
                                                event(delta("Hello.")), END]),
    "a raw tab": Answer([event(delta("Hello.", "stop")).replace(b"Hello.", b"Hel\tlo.")]),
    "bytes that are no UTF-8": Answer([event(delta("Hello.", "stop")).replace(b"ll", b"l\xe9l")]),
    "a list of chunks": Answer([json.dumps([delta("Hel"), delta("lo.", "stop")]).encode()], 200,
                               "application/json"),
    "lines and an end": Answer([b"%s\n[DONE]\n" % json.dumps(delta("Hello.", "stop")).encode()]),
    "created": Answer([event(delta("Hello.")), END, DONE], 201),
    **{f"an end called {end}": Answer([event({"choices": [{"delta": {"content": "Hello."},
                                                           "finish_reason": end}]})])
       for end in ("FINISH_REASON_STOP", "<|im_end|>", "</s>", "endoftext", "stop_token",
                   {"type": "stop"})},
    "one part": parts({"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_another_shape_of_an_answer(server: Server, make: MakeEngine, name: str) -> None:
    server.answers = [HARMLESS[name]]
    turn = ended(send(make(), None, "Hi"))
    text = turn.text.replace("\t", "").replace("\ufffdl", "l")
    assert (text, turn.finish_reason) == ("Hello.", FinishReason.STOP)


BUSY = {
    "a number": {"error": {"message": "Slow down", "code": 429}},
    "a name": {"code": "Throttling.AllocationQuota", "message": "Allocated quota exceeded"},
    "words": {"error": {"error": {"message": "Overloaded"}}},
    "no success": {"success": False, "errors": [{"message": "AiError: no capacity"}]},
}


@pytest.mark.parametrize("name", BUSY)
def test_a_server_that_is_busy_says_so_with_a_good_status(
    server: Server, make: MakeEngine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WAITS_S", (0.0,))
    said = Answer([b"event: error\n" * (name == "a name") + event(BUSY[name])])
    server.answers = [said, saying("Hello.")]
    assert ended(send(make(), None, "Hi")).text == "Hello."
    server.answers = [said]
    assert failed(send(make(), None, "Hi")).code == "busy"


def test_words_in_the_place_of_a_stream_are_shown(server: Server, make: MakeEngine) -> None:
    server.answers = [Answer([b"data: worker 3 died\n\n"])]
    assert "worker 3 died" in failed(send(make(), None, "Hi")).message
    server.answers = [Answer([event({"error": True, "message": "worker 4 died"})])]
    assert "worker 4 died" in failed(send(make(), None, "Hi")).message


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("https://api.example.org/api/v1/chat/completions", r"https://api\.example\.org/api/v1:"),
        ("/v2/chat/completions", r"127\.0\.0\.1:\d+/v2:"),
        ("/v1/chat/completions/", "in a circle"),
        ("", "in a circle"),
    ],
)
def test_a_redirect_names_an_address_that_can_be_given(
    server: Server, make: MakeEngine, place: str, words: str
) -> None:
    server.answers = [Answer([], 308, headers={"Location": place})]
    assert re.search(words, failed(send(make(), None, "Hi")).message)
    assert len(server.chats) == 1


@pytest.mark.parametrize("status", [521, 523, 530])
def test_a_host_that_a_proxy_can_not_reach_is_asked_again(
    server: Server, make: MakeEngine, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WAITS_S", (0.0,))
    server.answers = [Answer([b"error code: 1033"], status, "text/plain"), saying("Hello.")]
    assert ended(send(make(), None, "Hi")).text == "Hello."
    assert server.chats[0].json == server.chats[1].json


def test_pictures_in_the_question_alone(server: Server, make: MakeEngine) -> None:
    engine = make()
    session = new_session(engine, "a", picture("red"))

    def rule(asked: Asked) -> Answer | None:
        *earlier, _ = asked.said
        has_any = any(not isinstance(part, str) for _, parts in earlier for part in parts)
        words = "Images can only be attached to the last message"
        return refusing(400, words) if has_any else None

    server.rule = rule
    for file in ((), (picture("blue"),), (), (picture("grey"),)):
        assert ended(send(engine, session, "b", *file)).text == "Hello."
        assert pictures_of(server.chats[-1]) == len(file)


@pytest.mark.parametrize("words", ["Nein.", "Ни за что."])
def test_older_pictures_that_a_model_has_seen_are_not_left_out_for_good(
    server: Server, make: MakeEngine, words: str
) -> None:
    engine = make()
    session = new_session(engine, "a", picture("red"))
    before = server.chats[-1].json.keys()
    server.rule = lambda asked: refusing(400, words) if pictures_of(asked) else None
    assert ended(send(engine, session, "b")).text == "Hello."
    server.rule = lambda asked: None
    assert ended(send(engine, session, "c", picture("blue"))).text == "Hello."
    assert pictures_of(server.chats[-1]) == 2
    assert server.chats[-1].json.keys() == before, "only what helps is left out"


def test_only_the_guess_that_helps_is_kept(server: Server, make: MakeEngine) -> None:
    engine = make()
    server.rule = lambda asked: refusing(400, "Nein.") if "temperature" in asked.json else None
    session = new_session(engine, "a")
    assert ended(send(engine, session, "b")).text == "Hello."
    assert {"logprobs", "stream_options"} <= server.chats[-1].json.keys()
    assert "temperature" not in server.chats[-1].json


@pytest.mark.parametrize(
    "words",
    ["Only user and assistant roles are supported!", "invalid type: sequence, expected a string",
     "Unsupported image format"],
)  # fmt: skip
def test_a_lesson_that_does_not_fit_is_none(server: Server, make: MakeEngine, words: str) -> None:
    """There is no system message and no picture: something else is the matter."""
    engine = make()
    server.rule = lambda asked: refusing(400, words) if "stream_options" in asked.json else None
    assert ended(send(engine, None, "Hi")).text == "Hello."


@pytest.mark.parametrize("nothing", [saying(), Answer([DONE])], ids=["an end", "nothing"])
def test_silence_at_a_long_chat_may_be_its_length(
    server: Server, make: MakeEngine, nothing: Answer
) -> None:
    """LM Studio answers so where a chat is longer than the model was loaded for."""
    server.models = [{"id": "tiny"}]
    engine = make(max_new_tokens=8)
    session = new_session(engine, "a" * 3000)
    server.rule = longer_than(5000, nothing)
    assert ended(send(engine, session, "b" * 3000)).text == "Hello."
    assert "answered the question alone" in engine.model.status().warning
    sent = len(server.chats)
    assert ended(send(engine, session, "c" * 900)).text == "Hello."
    assert len(server.chats) == sent + 1, "it is remembered"
    server.rule = lambda asked: nothing
    assert failed(send(engine, session, "d")).code == "empty"
    assert failed(send(make(), None, "e" * 9000)).code == "empty"


@pytest.mark.parametrize(
    ("status", "words", "code", "way"),
    [
        (
            400,
            "API key not valid. Pass a valid API key.",
            "unauthorized",
            "Check the one in PHICHAT",
        ),
        (400, "tiny is not a valid model ID", "no_such_model", "Choose another one"),
        (429, "Insufficient balance", "refused", "Look at your account"),
        (403, "Your input was flagged by moderation", "filtered", "Ask in other words"),
    ],
)
def test_what_no_other_request_helps_against_is_asked_once(
    server: Server, make: MakeEngine, status: int, words: str, code: str, way: str
) -> None:
    server.answers = [refusing(status, words)]
    known = failed(send(make(), None, "Hi"))
    assert known.code == code
    assert way in known.message
    assert len(server.chats) == 1


@pytest.mark.parametrize(
    ("words", "after"),
    [("Please try again in 2m5.5s.", 125.5), ("retry in 36.1s", 36.1), ("try again in 40ms", 0.04),
     ("try again later", None), ("try again in . s", None)],
)  # fmt: skip
def test_a_wait_in_words(words: str, after: float | None) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    busy = refused(parse("http://127.0.0.1:1"), 429, body, has_key=False)
    assert isinstance(busy, BusyError)
    assert busy.after_s == after


def test_a_small_picture_gets_an_edge(server: Server, make: MakeEngine) -> None:
    """Ollama's runner ends at a side that is shorter than a patch of its model."""
    new_session(make(), "Hi", picture("red", (257, 9)))
    (image,) = (part for part in server.chats[-1].said[-1][1] if not isinstance(part, str))
    assert image.size == (257, 32)
    assert [image.getpixel((5, y)) for y in (0, 8, 9)] == [(255, 0, 0)] * 2 + [(255, 255, 255)]


ROWS: list[tuple[dict[str, object], int | None]] = [
    ({"max_model_len": "4096"}, 4096),
    ({"context_length": "131,072"}, 131072),
    ({"context_length": 131072, "top_provider": {"context_length": 8192}}, 8192),
    ({"max_context_length": 32768, "loaded_context_length": 4096}, 4096),
    ({"inputTokenLimit": 32768}, 32768),
    ({"capabilities": {"limits": {"max_prompt_tokens": 60000}}}, 60000),
    ({"model_info": {"max_input_tokens": 8192}}, 8192),
    ({"n_ctx": 2048, "meta": {"n_ctx_train": 131072}}, 2048),
    ({"max_model_len": "٤٠٩٦", "meta": {"n_ctx": 1e400}, "limits": "x" * 99}, None),
]


@pytest.mark.parametrize(("row", "context"), ROWS, ids=str)
def test_where_lists_have_the_context(
    server: Server, row: dict[str, object], context: int | None
) -> None:
    server.models = [{"id": "tiny", **row}]
    assert catalogue.chosen(parse(server.address)).context == context


@pytest.mark.parametrize(
    "first",
    [
        {"id": "nomic-embed-text"},
        {"id": "x", "type": "embeddings"},
        {"id": "whisper-1"},
        {"id": "x", "state": "not-loaded"},
        {"id": "x", "active": False},
        {"id": "x", "deprecated": True},
    ],
    ids=str,
)
def test_the_first_model_that_chats_answers(server: Server, first: dict[str, object]) -> None:
    server.models = [first, {"id": "tiny"}]
    assert catalogue.chosen(parse(server.address)).address.model == "tiny"
    server.models = [first]
    assert catalogue.chosen(parse(server.address)).address.model == first["id"]


def test_white_space_is_no_answer(server: Server, make: MakeEngine) -> None:
    server.answers = [saying("  \n ")]
    assert failed(send(make(), None, "Hi")).code == "empty"


def test_a_connection_that_is_closed_without_a_word_may_be_the_pictures(
    server: Server, make: MakeEngine
) -> None:
    engine = make()
    session = new_session(engine, "a", picture("red"))
    server.rule = lambda asked: Answer(cut=True) if pictures_of(asked) else None
    assert ended(send(engine, session, "b")).text == "Hello."
    known = failed(send(engine, session, "c", picture("blue")))
    assert "closed the connection without an answer" in known.message
    assert "smaller pictures" in known.message


def test_a_refusal_for_no_reason_names_a_way_out(server: Server, make: MakeEngine) -> None:
    engine = make()
    session = new_session(engine, "a")
    server.rule = lambda asked: refusing(400, "this model is blind")
    assert (
        "Ask without pictures, or choose"
        in failed(send(engine, session, "b", picture("red"))).message
    )
    assert "Begin a new chat, or choose" in failed(send(engine, session, "c")).message


@pytest.mark.parametrize(
    "models",
    [
        refusing(429, "slow down"),
        Answer([b'{"data": {"models": [{"id": "mine"}]}}'], 200, "application/json"),
    ],
    ids=["busy", "nested"],
)
def test_a_list_does_not_stop_a_named_model(
    server: Server, make: MakeEngine, models: Answer
) -> None:
    server.models = models
    engine = make(f"{server.address}/v1#mine")
    assert ended(send(engine, None, "Hi")).text == "Hello."


def test_a_list_that_is_refused_asks_for_a_name(server: Server, make: MakeEngine) -> None:
    server.models = refusing(404, "models listing is switched off here")
    with pytest.raises(PhichatError, match=r"switched off here\. Name a model .*#NAME\.$"):
        send(make(), None, "Hi")


@pytest.mark.parametrize("pieces", [["</think> ends it."], list("</think> ends it."), ["</think>"]])
def test_an_answer_may_begin_with_the_name_of_a_tag(
    server: Server, make: MakeEngine, pieces: list[str]
) -> None:
    server.answers = [saying(*pieces)]
    assert ended(send(make(), None, "Which tag?")).text == "".join(pieces)
