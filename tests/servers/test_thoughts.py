"""Models that think: beside the reply, in every dialect, and never sent back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from assistant.cli.root_command import cli
from assistant.pictures import decode
from assistant.servers.thoughts import TAGS, Splitter
from assistant.values.conversation import ExportFormat, FinishReason
from assistant.values.events import ReplyGrew, ThoughtGrew
from tests.engine.conftest import new_session, send
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Answer, Server, event, refusing, saying
from tests.servers.test_server_core import ended, failed, spoken

THOUGHT = "It is <red>, I am sure. 🎈"
ANSWER = "A red circle."


def streamed(*deltas: dict[str, Any], finish: str | None = "stop") -> Answer:
    pieces = [event({"choices": [{"index": 0, "delta": one}]}) for one in deltas]
    if finish is not None:
        pieces.append(event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}))
    return Answer([*pieces, event("[DONE]")])


def letters(text: str, name: str = "content") -> Iterator[dict[str, Any]]:
    return ({name: one} for one in text)


def dialect(name: str, thought: str, answer: str, finish: str = "stop") -> Answer:
    """A reply of a model that thinks, letter by letter, as a kind of server streams it."""
    match name:
        case "tags":
            end = "</think>" if answer else ""
            return streamed(*letters(f"\n<think>\n{thought}{end}\n\n{answer}"), finish=finish)
        case "unopened":
            end = "</think>" if answer else ""
            return streamed(*letters(f"{thought}\n{end}\n\n{answer}"), finish=finish)
        case "parts":
            part = {"type": "thinking", "thinking": [{"type": "text", "text": thought}]}
            said = [{"type": "text", "text": answer}] if answer else []
            return streamed({"content": [part]}, {"content": said}, finish=finish)
        case _:
            return streamed(*letters(thought, name), *letters(answer), finish=finish)


DIALECTS = ("reasoning_content", "reasoning", "parts", "tags", "unopened")


@pytest.mark.parametrize("name", DIALECTS)
def test_a_thought_is_kept_beside_the_reply_and_never_sent(
    server: Server, make: MakeEngine, name: str
) -> None:
    engine = make(thinking="on")
    server.answers = [dialect(name, THOUGHT, ANSWER)]
    session = new_session(engine, "What is it?")
    events = send(engine, session, "Sure?")
    turn = ended(events)
    assert (turn.text, spoken(events)) == (ANSWER, ANSWER)
    assert turn.thought is not None
    assert turn.thought.text.strip() == THOUGHT
    stored = engine.store.conversation(session)
    assert stored.turns[-1].thought == turn.thought
    assert [one for one, _ in server.chats[-1].said] == ["user", "assistant", "user"]
    assert server.chats[-1].said[1] == ("assistant", [ANSWER])
    assert "sure" not in json.dumps(server.chats[-1].json)
    assert not engine.store.search('"I am sure"'), "nor found as if it had been said"


@pytest.mark.parametrize("name", DIALECTS)
def test_a_budget_that_went_into_thinking_is_an_error(
    server: Server, make: MakeEngine, name: str
) -> None:
    engine = make(thinking="on")
    server.answers = [dialect(name, THOUGHT, "", "length"), saying("Ok.")]
    failure = failed(send(engine, None, "What is it?"))
    assert "spent the whole answer on thinking" in failure.message
    assert failure.turn is not None
    assert failure.turn.text == ""
    assert failure.turn.thought is not None
    assert failure.turn.thought.text.strip() == THOUGHT
    session = engine.store.sessions()[0].id
    assert ended(send(engine, session, "Again?")).text == "Ok."
    assert "sure" not in json.dumps(server.chats[-1].json)


@pytest.mark.parametrize("name", DIALECTS)
def test_cut_inside_the_thought(server: Server, make: MakeEngine, name: str) -> None:
    engine = make(thinking="on")
    whole = dialect(name, THOUGHT, ANSWER)
    server.answers = [Answer(whole.pieces[: len(THOUGHT) // 2] or (), cut=True)]
    if name == "parts":
        server.answers = [Answer(whole.pieces[:1], cut=True)]
    failure = failed(send(engine, None, "What is it?"))
    assert failure.code == "cut"
    assert failure.turn is not None
    assert failure.turn.text == ""
    assert failure.turn.thought is not None
    assert THOUGHT.startswith(failure.turn.thought.text.strip()[:10])


@pytest.mark.parametrize("name", DIALECTS)
def test_stopped_inside_the_thought(server: Server, make: MakeEngine, name: str) -> None:
    engine = make(thinking="on")
    whole = dialect(name, THOUGHT, ANSWER)
    at = 1 if name == "parts" else 15
    pieces = [*whole.pieces[:at], engine.stop, *whole.pieces[at:]]
    server.answers = [Answer(pieces), saying("Ok.")]
    turn = ended(send(engine, None, "What is it?"))
    assert (turn.text, turn.finish_reason) == ("", FinishReason.STOPPED)
    session = engine.store.sessions()[0].id
    assert ended(send(engine, session, "Again?")).text == "Ok."
    body = json.dumps(server.chats[-1].json["messages"])
    assert '"assistant"' not in body
    assert "It is" not in body


def test_a_thought_of_the_server_alone_that_spent_the_budget(
    server: Server, make: MakeEngine
) -> None:
    """OpenAI counts it and shows nothing of it."""
    usage = {"prompt_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 50}}
    server.answers = [saying(finish="length", usage=usage)]
    assert "on thinking" in failed(send(make(), None, "What is it?")).message


def test_a_model_that_answers_at_once_is_held_once(server: Server, make: MakeEngine) -> None:
    """Text is held while it may be a thought without a tag; what is learned holds."""
    engine = make(thinking="on")
    server.answers = [saying("A ", "red ", "circle.")]
    first, second = (send(engine, None, "What is it?") for _ in range(2))
    assert spoken(first) == spoken(second) == "A red circle."
    assert [sum(isinstance(one, ReplyGrew) for one in events) for events in (first, second)] == [
        1,
        3,
    ]
    assert not any(ended(events).thought for events in (first, second))


def test_tags_later_in_an_answer_are_text(server: Server, make: MakeEngine) -> None:
    words = "Write <think> before it, and </think> behind."
    server.answers = [saying(*words)]
    assert ended(send(make(), None, "How do models think?")).text == words


@pytest.mark.parametrize("thinking", ["off", "on"])
def test_an_answer_about_tags_teaches_nothing(
    server: Server, make: MakeEngine, thinking: str
) -> None:
    engine = make(thinking=thinking)
    if thinking == "on":  # it is seen that the model answers at once
        server.answers = [saying("A red circle.")]
        send(engine, None, "What is it?")
    words = ("The closing tag is `</think>`.\nIn a sentence </think> is it, too.",
             "It is </think> that ends it, as I said.")  # fmt: skip
    server.answers = [streamed(*letters(one)) for one in words]
    for one in words:
        turn = ended(send(engine, None, "How do models think?"))
        assert (turn.text, turn.thought) == (one, None)


WHOLE = {"content": ANSWER, "reasoning_content": THOUGHT}
PART = {"type": "text", "text": THOUGHT}
SHAPES = {
    "a list of parts in the field": [{"reasoning_content": [PART]}, {"content": ANSWER}],
    "an object in the field": [{"reasoning": {"content": THOUGHT}}, {"content": ANSWER}],
    "details of a gateway": [
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"},
                               {"type": "reasoning.text", "text": THOUGHT}]},
        {"content": ANSWER},
    ],
    "a part that is text": [
        {"content": [{"type": "reasoning", "text": THOUGHT}, {"type": "text", "text": ANSWER}]}],
    "a part with a string": [
        {"content": [{"type": "thinking", "thinking": THOUGHT}]}, {"content": ANSWER}],
    "a part with a summary": [
        {"content": [{"type": "reasoning", "summary": [PART]}]}, {"content": ANSWER}],
    "behind the answer": [{"content": ANSWER}, {"reasoning": THOUGHT}],
    "two thoughts": list(letters(f"<think>{THOUGHT[:9]}</think>\n<think>{THOUGHT[9:]}</think> "
                                 f"{ANSWER}")),
    "gpt-oss with its start": list(letters(
        f"<|start|>assistant<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{ANSWER}")),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_other_shapes_of_a_thought(server: Server, make: MakeEngine, name: str) -> None:
    server.answers = [streamed(*SHAPES[name])]
    turn = ended(send(make(), None, "What is it?"))
    assert turn.text == ANSWER
    assert turn.thought is not None
    assert turn.thought.text == THOUGHT


@pytest.mark.parametrize(
    "answer",
    [
        Answer([json.dumps({"choices": [{"message": WHOLE, "finish_reason": "stop"}]}).encode()],
               200, "application/json"),
        Answer([event({"choices": [{"index": 0, "delta": {"content": ANSWER}}]}),
                event({"choices": [{"index": 0, "delta": {}, "message": WHOLE,
                                    "finish_reason": "stop"}]}), event("[DONE]")]),
    ],
    ids=["not streamed", "a message behind the deltas"],
)  # fmt: skip
def test_a_whole_message(server: Server, make: MakeEngine, answer: Answer) -> None:
    server.answers = [answer]
    turn = ended(send(make(), None, "What is it?"))
    assert turn.text == ANSWER
    assert turn.thought is not None
    assert turn.thought.text == THOUGHT


def separated(text: str, step: int, *, unopened: bool) -> tuple[str, str]:
    """Return the answer and the thought of a text that comes in pieces of ``step`` characters."""
    splitter, pieces = Splitter(unopened=unopened), list[str | ThoughtGrew]()
    for at in range(0, len(text), step):
        pieces += splitter.feed(text[at : at + step])
    pieces += splitter.finish(is_whole=True)
    answer = "".join(one for one in pieces if isinstance(one, str))
    return answer, "".join(one.text for one in pieces if isinstance(one, ThoughtGrew))


@pytest.mark.parametrize(
    "before",
    ["</think>\n\n", "<think>\n\n</think>\n\n", "<|channel|>final<|message|>",
     "<think></think><think>\n</think>"],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 2, 1000])
@pytest.mark.parametrize("unopened", [True, False])
def test_tags_without_a_thought(before: str, step: int, unopened: bool) -> None:
    text = f"{before}{ANSWER}"
    answer, thought = separated(text, step, unopened=unopened)
    assert answer == ANSWER
    assert not thought.strip()


def test_white_space_behind_a_thought_is_no_answer(server: Server, make: MakeEngine) -> None:
    server.answers = [streamed(*letters(f"<think>{THOUGHT}</think>\n\n"), finish="length")]
    assert "spent the whole answer on thinking" in failed(send(make(), None, "Hi")).message


def test_a_thought_that_nothing_opened_is_learned(server: Server, make: MakeEngine) -> None:
    """The model's name and the settings don't say that it thinks."""
    engine = make()
    server.answers = [streamed(*letters(f"{THOUGHT}</think>\n\n{ANSWER}"))]
    session = new_session(engine, "What is it?")
    turn = ended(send(engine, session, "Sure?"))
    assert (turn.text, turn.thought and turn.thought.text) == (ANSWER, THOUGHT)


@pytest.mark.parametrize("opening", TAGS)
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_every_pair_of_tags_cut_anywhere(opening: str, step: int) -> None:
    text = f"{opening}\nHm < [ ◁ <|\n{TAGS[opening]}\n\nYes: 1 < 2."
    answer, thought = separated(text, step, unopened=False)
    assert thought.strip() == "Hm < [ ◁ <|"
    assert answer == "Yes: 1 < 2."


def test_the_switch(server: Server, make: MakeEngine) -> None:
    server.models = [{"id": "tiny"}, {"id": "Qwen3.5-4B"}]
    new_session(make(), "a")
    assert "chat_template_kwargs" not in server.chats[-1].json, "it would do nothing"
    name = f"{server.address}/v1#Qwen3.5-4B"
    engine = make(name)
    session = new_session(engine, "a")
    body = server.chats[-1].json
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
    assert "reasoning_effort" not in body
    for settings, session_own, kwargs, effort in (
        ({"thinking": "on"}, None, True, None),
        ({"thinking": "high"}, None, True, "high"),
        ({"thinking": "off", "thinking_models": {name: "low"}}, None, True, "low"),
        ({"thinking": "on", "thinking_models": {"Qwen3.5-4B": "off"}}, None, False, None),
        ({"thinking_models": {"other": "high"}}, "on", True, None),
    ):
        engine = make(name, **settings)
        own = engine.store.conversation(session).parameters.changed(thinking=session_own)
        engine.store.set_parameters(session, own)
        send(engine, session, "b")
        body = server.chats[-1].json
        assert body["chat_template_kwargs"]["enable_thinking"] is kwargs
        assert body.get("reasoning_effort") == effort


def test_a_switch_that_is_refused_is_left_out(server: Server, make: MakeEngine) -> None:
    server.models = [{"id": "tiny", "owned_by": "vllm"}]
    server.rule = lambda asked: (
        refusing(400, "Unrecognized request argument supplied: chat_template_kwargs")
        if "chat_template_kwargs" in asked.json
        else None
    )
    engine = make()
    session = new_session(engine, "a")
    assert ended(send(engine, session, "b")).text == "Hello."
    assert len(server.chats) == 3


def test_a_model_that_thinks_all_the_same_is_asked_more_firmly(
    server: Server, make: MakeEngine
) -> None:
    server.answers = [dialect("reasoning", THOUGHT, ANSWER)]
    engine = make()
    session = new_session(engine, "a")
    send(engine, session, "b")
    assert "reasoning_effort" not in server.chats[0].json
    assert server.chats[1].json["reasoning_effort"] == "none"


@pytest.mark.slow
def test_ask_prints_the_answer_alone(server: Server, make: MakeEngine) -> None:
    make()
    runner = CliRunner()
    for name in DIALECTS:
        server.answers = [dialect(name, THOUGHT, ANSWER)]
        options = ["--model", server.address, "--thinking", "on"]
        said = runner.invoke(cli, ["ask", *options, "What is it?"])
        assert (said.stdout, said.stderr, said.exit_code) == (f"{ANSWER}\n", "", 0)
        said = runner.invoke(cli, ["ask", *options, "--json", "What is it?"])
        found = json.loads(said.stdout)
        assert found["text"] == ANSWER
        assert found["thought_s"] >= 0
        assert "sure" not in said.stdout
        said = runner.invoke(cli, ["ask", *options, "--stream-json", "What is it?"])
        assert "sure" not in said.stdout
        server.answers = [dialect(name, THOUGHT, "", "length")]
        said = runner.invoke(cli, ["ask", *options, "What is it?"])
        assert said.exit_code == 1
        assert (said.stdout, "on thinking" in said.stderr) == ("", True)


def test_a_thought_in_exports(server: Server, make: MakeEngine, tmp_path: Any) -> None:
    engine = make()
    server.answers = [dialect("reasoning", "<b>Hm</b>, red.", ANSWER)]
    session = new_session(engine, "What is it?")
    file, page = tmp_path / "chat.json", tmp_path / "chat.html"
    engine.store.export_to(file, [session], ExportFormat.JSON)
    engine.store.export_to(page, [session], ExportFormat.HTML)
    assert "&lt;b&gt;Hm&lt;/b&gt;, red." in page.read_text()
    kept = engine.store.conversation(session).turns[-1].thought
    engine.store.rename(session, "Changed here")
    arrived = engine.store.import_file(file, decode.open_bytes, copy=True).sessions[0]
    assert arrived.id != session
    assert engine.store.conversation(arrived.id).turns[-1].thought == kept
