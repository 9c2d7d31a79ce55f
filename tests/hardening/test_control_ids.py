"""Ids of text never contain a control id, in the template and after any import.

Whatever is said in a chat, in its system prompt and its summary, the control tokens of the prompt
are those of the same chat with every text replaced by one letter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from assistant.families.chat import ChatTemplate
from assistant.families.registry import model_facts
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import Role, Turn, TurnKind
from assistant.values.prompt import Prompt, Vocabulary as AnyVocabulary
from assistant.values.sampling import PARAMETERS
from assistant.window.layout import Layout, Request
from storage.ids import new_id
from storage.store import Store

FEW, MANY = 60, 50_000
FILES = 10_000
"""Files of ten chats each."""
MOMENT = "2026-01-01T00:00:00+00:00"
NAMES = ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<s>", "</s>", "<unk>", "<|image|>",
         "<|endoftext|>", "<|image_1|>", "<|placeholder1|>", "<|placeholder6|>")  # fmt: skip
PIECES = ("<|", "|>", "<", ">", "|", "end", "user", "\n", " ", "\u200b", "\u2581", "<0x0A>", "▁<s>")

wild = st.lists(
    st.sampled_from(NAMES) | st.sampled_from(PIECES) | st.text(max_size=6), max_size=8
).map("".join)


def controls(prompt: Prompt, vocabulary: AnyVocabulary) -> list[str]:
    """Return the names of a prompt's control tokens, in order."""
    ids = [i for part in prompt.parts if isinstance(part, tuple) for i in part]
    return [name for i in ids if (name := vocabulary.control_name(i)) is not None]


@pytest.fixture(scope="module")
def vocabulary(any_tokenizer: Path) -> Vocabulary:
    return Vocabulary.from_folder(any_tokenizer)


def check_template(
    vocabulary: Vocabulary, texts: list[str], system: str | None, summary: str | None
) -> None:
    roles = (Role.USER, Role.ASSISTANT)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    turns = [Turn("t", None, roles[n % 2], text, now) for n, text in enumerate(texts)]
    template = ChatTemplate(STYLE, lambda: vocabulary)

    def named(system: str | None, summary: str | None, turns: list[Turn]) -> list[str]:
        prompt = template.render(turns, lambda _: pytest.fail("no picture"), system=system,
                                 summary=summary)  # fmt: skip
        return controls(prompt, vocabulary)

    plain = [replace(turn, text="x") for turn in turns]
    assert named(system, summary, turns) == named(system and "x", summary and "x", plain)


templates = given(
    texts=st.lists(wild, min_size=1, max_size=5), system=st.none() | wild, summary=st.none() | wild
)


@settings(max_examples=FEW, deadline=None)
@templates
def test_no_text_is_a_control_token(
    vocabulary: Vocabulary, texts: list[str], system: str | None, summary: str | None
) -> None:
    check_template(vocabulary, texts, system, summary)


@pytest.mark.long
@settings(max_examples=MANY, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@templates
def test_no_text_of_many_is_a_control_token(
    vocabulary: Vocabulary, texts: list[str], system: str | None, summary: str | None
) -> None:
    check_template(vocabulary, texts, system, summary)


# Imports


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(Store.open(tmp_path_factory.mktemp("imports") / "phichat.db")) as opened:
        yield opened


@pytest.fixture(scope="module")
def layout(random_folder: Path) -> Layout:
    return Layout(model_facts(str(random_folder)), lambda: 4096)


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    """An exported chat as an attacker writes it: any texts, any ids beside them."""
    turns: list[dict[str, Any]] = []
    ids = st.lists(st.integers(0, 400) | st.integers(0, 2**32 - 1), max_size=12)
    nothing = dict.fromkeys(("usage", "timings", "parameters"))
    for n, text in enumerate(draw(st.lists(wild, min_size=1, max_size=5))):
        turn = {
            "id": new_id(8),
            "parent": turns[-1]["id"] if turns else None,
            "role": ("user", "assistant")[n % 2],
            "kind": TurnKind.MESSAGE,
            "text": text,
            "created": MOMENT,
            "pinned": False,
            "excluded": False,
            "pictures": [],
            "token_ids": draw(st.none() | ids) if n % 2 else None,
            "finish_reason": "stop" if n % 2 else None,
            "model": "m" if n % 2 else None,
        }
        turns.append(turn | nothing)
    return {
        "id": new_id(8),
        "title": draw(wild),
        "created": MOMENT,
        "updated": MOMENT,
        "model": None,
        "system": draw(st.none() | wild),
        "pinned": False,
        "parameters": dict.fromkeys(PARAMETERS),
        "summary": None,
        "draft": None,
        "head": turns[-1]["id"],
        "pictures": [],
        "turns": turns,
    }


def no_picture(source: bytes | Path, *, name: str | None = None) -> NoReturn:
    """Open none: these chats have no picture."""
    raise AssertionError(name)


def check_import(store: Store, layout: Layout, file: list[dict[str, Any]]) -> None:
    content = json.dumps({"phichat": 1, "sessions": file, "pictures": []}).encode()
    store.import_json(content, "talk.json", no_picture)
    for chat in file:
        check_chat(store, layout, chat)


def check_chat(store: Store, layout: Layout, chat: dict[str, Any]) -> None:
    conversation = store.conversation(chat["id"])
    store.delete(chat["id"], for_good=True)

    def named(turns: tuple[Turn, ...], system: str | None) -> list[str]:
        planned = layout.plan(Request(turns, system, 100), fresh=True)
        return controls(layout.preview(planned).prompt, layout.chat.vocabulary)

    turns = tuple(replace(turn, model=layout.model) for turn in conversation.turns)
    plain = tuple(replace(turn, text="x", token_ids=None) for turn in turns)
    system = conversation.system
    assert named(turns, system) == named(plain, system and "x")


@settings(max_examples=FEW // 3, deadline=None)
@given(file=st.lists(chats(), max_size=3))
def test_no_import_brings_a_control_token(
    store: Store, layout: Layout, file: list[dict[str, Any]]
) -> None:
    check_import(store, layout, file)


@pytest.mark.long
@settings(max_examples=FILES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(file=st.lists(chats(), min_size=10, max_size=10))
def test_no_import_of_many_brings_a_control_token(
    store: Store, layout: Layout, file: list[dict[str, Any]]
) -> None:
    check_import(store, layout, file)
