"""Counts of a Phi-3-vision's tokens: by its tokenizer on this disk, or by its server's /tokenize.

The server tokenizes with a tokenizer of the official kind, control tokens included, as vLLM does.
What is planned must be what it counts.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tokenizers import Tokenizer

from assistant.engine.open import open_engine
from assistant.families.chat import ChatTemplate
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary
from assistant.servers.address import parse
from assistant.servers.counts import ServedCounts, _tokenized
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft, FinishReason, Role
from assistant.values.errors import PhichatError
from assistant.values.events import ContextPlanned, Event, ReplyFailed
from assistant.window.count import Counter
from tests.engine.conftest import new_session, send
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Answer, Server, delta, event, refusing, saying
from tests.servers.test_known_models import NAME
from tests.servers.test_server_core import drawn, ended
from tests.tui.desk import area, idle, sees, send as type_and_send, shown, until
from tests.wait import LIMIT_S
from tui.app import PhichatApp

TEXTS = [
    "What is the capital of France?",
    "  leading blanks,\n\nempty lines and a tail \n",
    "今天天气很好，我们去公园吧。日本の絵文字👩‍💻 и кириллица",
    "def f(x):\n    return x  # twelve = 12",
    "half a pair \ud83d of surrogates",
]


class Tokenizing:
    """A server that answers /tokenize as vLLM does, and counts the prompts of its chats."""

    def __init__(self, server: Server, tokenizer: Path) -> None:
        self.server = server
        self.folder = tokenizer
        self.tokenizer = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
        self.is_here = True
        self.shape = "vLLM"
        server.models = [{"id": NAME, "owned_by": "vllm", "max_model_len": 4096}]
        inner = server.answer_to

        def answer_to(asked: object) -> Answer:
            return self._answer(asked) if asked.path == "/tokenize" else inner(asked)  # type: ignore[attr-defined, arg-type]

        server.answer_to = answer_to  # type: ignore[method-assign]

    def _answer(self, asked: object) -> Answer:
        if not self.is_here:
            return refusing(404, "Not Found")
        body = asked.json  # type: ignore[attr-defined]
        said = self._said(body)
        return Answer([json.dumps(said).encode()], 200, "application/json")

    def _said(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer as the servers' documentation has it; what one does not know it leaves out."""
        if self.shape == "llama.cpp":
            special = body.get("add_special", True)
            return {
                "tokens": self.tokenizer.encode(body["content"], add_special_tokens=special).ids
            }
        assert isinstance(body["prompt"], str), "of a list SGLang makes a list of lists"
        ids = self.tokenizer.encode(body["prompt"], add_special_tokens=body["add_special_tokens"])
        more = {"token_strs": None} if self.shape == "vLLM" else {}
        return {"tokens": ids.ids, "count": len(ids.ids), "max_model_len": 4096, **more}

    @property
    def asked(self) -> list[str]:
        """The texts that were to be tokenized."""
        return [one.json["prompt"] for one in self.server.asked if one.path == "/tokenize"]

    def read(self) -> int:
        """Count the last chat without its pictures, as the official template lays it out."""
        text = "<s>"
        for one in self.server.chats[-1].json["messages"]:
            content = one["content"]
            parts = [content] if isinstance(content, str) else [p.get("text") for p in content]
            words = "".join("\n" if part is None else part for part in parts)
            text += f"<|{one['role']}|>\n{words}<|end|>\n"
        ids = self.tokenizer.encode(f"{text}<|assistant|>\n", add_special_tokens=False).ids
        return len(ids)


@pytest.fixture
def counting(
    server: Server, trained_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Tokenizing:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return Tokenizing(server, trained_tokenizer)


def fetched(tokenizer: Path, random_folder: Path) -> None:
    """Put the small files of a checkpoint where “models pull” does."""
    commit = "0" * 40
    folder = Path(constants.HF_HUB_CACHE) / f"models--{NAME.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(random_folder / name, snapshot)
    shutil.copy(tokenizer / "tokenizer.json", snapshot)


def planned(events: list[object]) -> ContextPlanned:
    return [one for one in events if isinstance(one, ContextPlanned)][-1]


def test_what_is_sent_is_counted_by_the_server_first(
    counting: Tokenizing, make: MakeEngine
) -> None:
    engine = make(system="You are brief.")
    session = None
    for text in TEXTS:
        draft = engine.prompts.context(session, Draft(text))
        assert draft.is_estimate, "nothing is sent before the user sends it"
        assert not any(text[:9] in one for one in counting.asked)
        events = send(engine, session, text)
        session = events[0].session_id  # type: ignore[union-attr]
        context = planned(events).context
        assert context.used == counting.read()
        assert not context.is_estimate
    assert counting.asked[:3] == [
        "<|end|>",
        f"<|end|>\nYou are brief.<|end|>\n<|end|>\n{TEXTS[0]}",
        f"<|end|>Hello.<|end|>\n{TEXTS[1]}",
    ], "each text once, all at once"


def test_a_tokenizer_on_this_disk_counts_what_is_typed(
    counting: Tokenizing, make: MakeEngine, random_folder: Path
) -> None:
    fetched(counting.folder, random_folder)
    engine = make()
    session = None
    for text in TEXTS:
        draft = engine.prompts.context(session, Draft(text))
        assert not draft.is_estimate
        events = send(engine, session, text)
        session = events[0].session_id  # type: ignore[union-attr]
        assert draft.used == planned(events).context.used == counting.read()
    assert counting.asked == []


def test_it_is_laid_out_as_the_model_on_this_machine_is(
    counting: Tokenizing, make: MakeEngine, random_folder: Path
) -> None:
    fetched(counting.folder, random_folder)
    engine = make()
    session = new_session(engine, "What is it?", drawn((300, 300), "a"))
    send(engine, session, "And these?", drawn((640, 480), "b"), drawn((30, 400), "c"))
    facts, conversation = engine.model.facts(), engine.store.conversation(session)
    counter = Counter(facts)
    used = counter.chat.render(conversation.turns, counter.slot).tokens
    family = ChatTemplate(STYLE, lambda: Vocabulary.from_folder(counting.folder))
    assert used == family.render(conversation.turns, counter.slot).tokens


def test_a_long_message_is_judged_by_its_own_length(counting: Tokenizing, make: MakeEngine) -> None:
    counting.server.models = [{"id": NAME, "owned_by": "vllm", "max_model_len": 256}]
    engine = make(max_new_tokens=16)
    words = [
        one[1:] for one in counting.tokenizer.get_vocab() if one[1:].isalpha() and one[0] == "▁"
    ]
    long = " ".join([max(words, key=len)] * 150)
    assert len(counting.tokenizer.encode(long).ids) < 230 < len(long) // 3
    assert engine.prompts.context(None, Draft(long)).used > 256
    assert ended(send(engine, None, long)).text == "Hello."
    assert counting.read() <= 240


def test_what_takes_more_than_the_estimate_leaves_the_window_in_time(
    counting: Tokenizing, make: MakeEngine
) -> None:
    counting.server.models = [{"id": NAME, "owned_by": "vllm", "max_model_len": 300}]
    engine = make(max_new_tokens=16)
    session = new_session(engine, "𓀀𓀁" * 10)  # a byte a token
    for text in ("𓀂𓀃" * 10, "𓀄𓀅" * 10, "And now?"):
        assert ended(send(engine, session, text)).text == "Hello."
        assert counting.read() <= 300 - 16
    assert len(counting.server.chats) == 4, "none was refused or repeated"


def test_the_name_of_a_control_token_in_a_message(counting: Tokenizing, make: MakeEngine) -> None:
    engine = make()
    session = new_session(engine, "a <|end|> b <|user|> c")
    context = planned(send(engine, session, "and <|end|><|end|>")).context
    assert context.used == counting.read()


@pytest.mark.parametrize("shape", ["vLLM", "SGLang", "llama.cpp"])
def test_each_kind_of_server_counts(counting: Tokenizing, make: MakeEngine, shape: str) -> None:
    counting.shape = shape
    engine = make()
    session = None
    for text in TEXTS:
        events = send(engine, session, text)
        session = events[0].session_id  # type: ignore[union-attr]
        found = planned(events).context
        assert (found.used, found.is_estimate) == (counting.read(), False)


RECORDED = {
    "<|end|>": [32007],
    "<|end|>What is the capital of France?<|end|>今天天气很好": [
        32007, 1724, 338, 278, 7483, 310, 3444, 29973, 32007, 29871, 31482, 30408, 30408, 233, 179,
        151, 232, 193, 139, 31076,
    ],
}  # fmt: skip
"""Ids that llama.cpp's server (xllamacpp 2026.10.11549) gave for the texts of our requests."""


def test_what_llama_cpp_answered(server: Server) -> None:
    def answer_to(asked: Any) -> Answer:
        ids = RECORDED[asked.json["content"]]
        assert asked.json["add_special"] is False
        return Answer([json.dumps({"tokens": ids}).encode()], 200, "application/json")

    server.answer_to = answer_to  # type: ignore[method-assign]
    address = parse(f"{server.address}/v1#{NAME}")
    counts = ServedCounts("<|end|>", partial(_tokenized, address))
    assert counts.learn(["What is the capital of France?", "今天天气很好"], None)
    assert (counts.of("What is the capital of France?"), counts.of("今天天气很好")) == (7, 11)


def test_a_server_that_does_not_tokenize_is_asked_once(
    counting: Tokenizing, make: MakeEngine
) -> None:
    counting.is_here = False
    engine = make()
    session = new_session(engine, "What is it?")
    assert planned(send(engine, session, "And now?")).context.is_estimate
    assert len(counting.asked) == 1


def test_a_server_that_counts_otherwise_is_believed(counting: Tokenizing, make: MakeEngine) -> None:
    """Another template, or another tokenizer than the name says: then counts are estimates."""
    counting.server.answers = [saying("Hello.", usage={"prompt_tokens": 500})]
    engine = make()
    session = new_session(engine, "What is it?")
    assert engine.prompts.context(session).is_estimate


def test_no_other_model_is_asked_to_tokenize(counting: Tokenizing, make: MakeEngine) -> None:
    counting.server.models = [{"id": "llava", "owned_by": "vllm", "max_model_len": 4096}]
    new_session(make(), "What is it?")
    assert counting.asked == []


def test_a_server_that_is_away_for_a_moment_counts_later(
    counting: Tokenizing, make: MakeEngine
) -> None:
    engine = make()
    session = new_session(engine, "What is it?")
    answer_to = counting.server.answer_to
    counting.server.answer_to = (  # type: ignore[method-assign]
        lambda asked: refusing(503) if asked.path == "/tokenize" else answer_to(asked)
    )
    assert planned(send(engine, session, "And now?")).context.is_estimate
    counting.server.answer_to = answer_to  # type: ignore[method-assign]
    assert not planned(send(engine, session, "And then?")).context.is_estimate
    assert engine.store.conversation(session).turns[0].role is Role.USER


def never_counted(counting: Tokenizing) -> tuple[threading.Event, threading.Event]:
    """Let the server begin to count and wait: an event for that, and one that lets it go on."""
    is_asked, go_on = threading.Event(), threading.Event()
    answer_to = counting.server.answer_to
    waiting = Answer([is_asked.set, lambda: go_on.wait(LIMIT_S)], 200, "application/json")
    counting.server.answer_to = (  # type: ignore[method-assign]
        lambda asked: waiting if asked.path == "/tokenize" else answer_to(asked)
    )
    return is_asked, go_on


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def refused_in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[str]]:
    """Begin what is to be refused: its thread, and where the code of the refusal will stand."""
    codes: list[str] = []

    def refused() -> None:
        with pytest.raises(PhichatError) as refusal:
            work()
        codes.append(refusal.value.code)

    return in_thread(refused), codes


def test_a_count_is_stopped_at_once(counting: Tokenizing, make: MakeEngine) -> None:
    is_asked, go_on = never_counted(counting)
    engine = make()
    asking, refused = refused_in_thread(lambda: next(engine.send(None, Draft("What is it?"))))
    assert is_asked.wait(LIMIT_S)
    engine.stop()
    asking.join(LIMIT_S)
    assert refused == ["stopped"]
    assert not go_on.is_set(), "the server still counts"
    go_on.set()
    assert not counting.server.chats
    assert not engine.store.sessions(), "what was stopped is stored nowhere"


def test_a_question_that_is_stored_is_stopped_while_it_is_counted(
    counting: Tokenizing, make: MakeEngine
) -> None:
    session = new_session(make(), "What is it?")
    is_asked, go_on = never_counted(counting)
    engine = make()
    heard: list[Event] = []
    asking = in_thread(lambda: heard.extend(engine.regenerate(session)))
    assert is_asked.wait(LIMIT_S)
    engine.stop(session)
    asking.join(LIMIT_S)
    assert not go_on.is_set()
    go_on.set()
    failed = heard[-1]
    assert isinstance(failed, ReplyFailed)
    assert (failed.code, failed.turn and failed.turn.finish_reason) == (
        "stopped", FinishReason.STOPPED,
    )  # fmt: skip


def test_a_count_that_is_stopped_ends_no_other_chat(counting: Tokenizing, make: MakeEngine) -> None:
    engine = make()
    first, second = (new_session(engine, text) for text in ("One?", "Two?"))
    began, finish = threading.Event(), threading.Event()
    counting.server.answers = [
        Answer([event(delta("Half")), began.set, lambda: finish.wait(LIMIT_S),
                event(delta(" and whole.", "stop")), event("[DONE]")])
    ]  # fmt: skip
    heard: list[Event] = []
    answering = in_thread(lambda: heard.extend(send(engine, first, "And now?")))
    assert began.wait(LIMIT_S)
    is_asked, go_on = never_counted(counting)
    asking, refused = refused_in_thread(lambda: next(engine.send(second, Draft("And then?"))))
    assert is_asked.wait(LIMIT_S)
    engine.stop(second)
    asking.join(LIMIT_S)
    assert refused == ["stopped"]
    finish.set()
    answering.join(LIMIT_S)
    assert ended(heard).text == "Half and whole."
    go_on.set()


@pytest.mark.parametrize("is_new", [False, True])
def test_of_two_chats_that_are_counted_one_is_stopped(
    counting: Tokenizing, make: MakeEngine, is_new: bool
) -> None:
    engine = make()
    first, second = (new_session(engine, text) for text in ("One?", "Two?"))
    is_asked, go_on = never_counted(counting)
    heard: list[Event] = []
    answering = in_thread(lambda: heard.extend(send(engine, first, "And now?")))
    assert is_asked.wait(LIMIT_S)
    is_asked.clear()
    stopped = None if is_new else second
    asking, refused = refused_in_thread(lambda: next(engine.send(stopped, Draft("And then?"))))
    assert is_asked.wait(LIMIT_S)
    engine.stop(stopped or "")
    asking.join(LIMIT_S)
    assert refused == ["stopped"]
    go_on.set()
    answering.join(LIMIT_S)
    assert ended(heard).finish_reason is FinishReason.STOP


async def test_esc_ends_a_count_in_the_app(counting: Tokenizing) -> None:
    is_asked, go_on = never_counted(counting)
    engine = open_engine(load_settings({"model": counting.server.address}))
    async with PhichatApp(engine, engine.model.settings).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "answers" in shown(pilot), "the server")
        await type_and_send(pilot, "What is it?")
        await until(pilot, is_asked.is_set, "the count")
        await pilot.press("escape")
        await idle(pilot)
        await sees(pilot, "send again to ask it")
        assert area(pilot).text == "What is it?", "the words are in the composer again"
        assert not go_on.is_set()
        go_on.set()
    assert not counting.server.chats
    engine.close()
