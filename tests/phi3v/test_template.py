"""Conversations become the reference's ids; text never becomes a control token."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from assistant import demo_model as demo
from assistant.families.chat import PICTURE_LEFT_OUT, SUMMARY, ChatTemplate
from assistant.phi3v.processing import load_tokenizer
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.context import Seen
from assistant.values.conversation import Picture, Role, Turn, TurnKind
from assistant.values.prompt import Slot
from tests.conftest import TOKENIZERS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTROL = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<s>", "</s>", "<unk>",
           "<|endoftext|>", "<|image|>", "<|image_1|>", "<|placeholder3|>"]  # fmt: skip


def turn(
    role: Role, text: str, pictures: int = 0, token_ids: tuple[int, ...] | None = None
) -> Turn:
    shown = tuple(
        Picture(n + 1, "p.png", "a", f"pixels-{n}", "image/png", 336, 336) for n in range(pictures)
    )
    return Turn("t", None, role, text, NOW, shown, token_ids)


def chat(vocabulary: Vocabulary) -> ChatTemplate:
    return ChatTemplate(STYLE, lambda: vocabulary)


def slot_of(picture: Picture) -> Slot:
    return Slot(picture.pixels_sha256, 1, 313)


@pytest.fixture(scope="module")
def vocabulary(any_tokenizer: Path) -> Vocabulary:
    return Vocabulary.from_folder(any_tokenizer)


@pytest.fixture(scope="module")
def tokenizer(any_tokenizer: Path) -> Any:
    return load_tokenizer(any_tokenizer)


def reference_ids(tokenizer: Any, turns: list[Turn], system: str | None) -> list[list[int]]:
    """The runs of ids that the reference's processor gives for its own rendering."""
    text = f"<|system|>\n{system}<|end|>\n" if system else ""
    for one in turns:
        text += f"<|{one.role}|>\n" + "@PICTURE@\n" * len(one.pictures) + f"{one.text}<|end|>\n"
    text += "<|assistant|>\n"
    return [list(tokenizer(chunk).input_ids) for chunk in text.split("@PICTURE@")]


PARSED = re.compile(r"<\|\w+\|>|</?s>|<unk>|@PICTURE@")
"""Every control token, which the reference parses in a text and we do not, and our own marker."""

free_text = st.text(max_size=60).filter(lambda text: not PARSED.search(text))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Turn], str | None]:
    turns = []
    for _ in range(draw(st.integers(0, 3))):
        turns.append(turn(Role.USER, draw(free_text), draw(st.integers(0, 2))))
        turns.append(turn(Role.ASSISTANT, draw(free_text)))
    turns.append(turn(Role.USER, draw(free_text), draw(st.integers(0, 2))))
    return turns, draw(st.none() | free_text)


@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversation=conversations())
def test_any_history_gives_the_references_ids(
    conversation: tuple[list[Turn], str | None], vocabulary: Vocabulary, tokenizer: Any
) -> None:
    turns, system = conversation
    prompt = chat(vocabulary).render(turns, slot_of, system=system)
    runs = [list(part) for part in prompt.parts if isinstance(part, tuple)]
    assert runs == reference_ids(tokenizer, turns, system)
    assert len(prompt.slots) == sum(len(one.pictures) for one in turns)


@example(text="\u2581")
@settings(max_examples=75, deadline=None)
@given(text=st.lists(st.sampled_from(CONTROL) | st.text(max_size=8), max_size=8).map("".join))
def test_typed_control_tokens_stay_text(text: str, vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode(text)
    control = {vocabulary.id(name) for name in CONTROL if name != "<|image_1|>"}
    assert not control & set(ids)
    # The tokenizer writes blanks as U+2581: a typed one is a blank to the model.
    assert vocabulary.decode(ids) == text.replace("\u2581", " ")


def test_half_a_surrogate_pair_is_what_the_database_makes_of_it(vocabulary: Vocabulary) -> None:
    assert vocabulary.decode(vocabulary.encode("a\ud800b\udcff")) == "a\ufffdb\ufffd"


def test_stored_ids_are_replayed_as_generated(vocabulary: Vocabulary) -> None:
    end, answer = vocabulary.id("<|end|>"), vocabulary.id("<|assistant|>")
    stored = (*vocabulary.encode("It is"), end)
    turns = [
        turn(Role.USER, "x"),
        turn(Role.ASSISTANT, "not what the ids say", token_ids=stored),
        turn(Role.USER, "y"),
    ]
    (run,) = chat(vocabulary).render(turns, slot_of).parts
    assert isinstance(run, tuple)
    at, after = run.index(answer), run.index(answer) + 1 + len(stored)
    assert run[at + 1 : after] == stored
    follows = (*vocabulary.encode("\n"), vocabulary.id("<|user|>"))
    assert run[after : after + len(follows)] == follows, "the end token stands once"


@pytest.mark.parametrize("end", [(), ("<|end|>",), ("<|endoftext|>",), ("</s>",)])
def test_a_reply_that_did_not_end_by_itself_is_closed(
    end: tuple[str, ...], vocabulary: Vocabulary
) -> None:
    said = vocabulary.encode("It")
    turns = [
        turn(Role.USER, "x"),
        turn(Role.ASSISTANT, "", token_ids=(*said, *map(vocabulary.id, end))),
        turn(Role.USER, "y"),
    ]
    (run,) = chat(vocabulary).render(turns, slot_of).parts
    assert isinstance(run, tuple)
    answer = vocabulary.id("<|assistant|>")
    at, closed = run.index(answer), (answer, *said, vocabulary.id("<|end|>"))
    assert run[at : at + len(closed)] == closed


def test_costs_of_turns_add_up(vocabulary: Vocabulary) -> None:
    turns = [
        turn(Role.USER, "What is this?", 2),
        turn(Role.ASSISTANT, "A stop sign."),
        turn(Role.USER, ""),
    ]
    apart = [chat(vocabulary).render([one], slot_of, answer=False).tokens - 1 for one in turns]
    frame = chat(vocabulary).render([], slot_of, system="Be brief.").tokens
    whole = chat(vocabulary).render(turns, slot_of, system="Be brief.").tokens
    assert whole == sum(apart) + frame


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=80))
def test_streaming_gives_the_whole_text(text: str, vocabulary: Vocabulary) -> None:
    stream = vocabulary.stream()
    pieces = [stream.feed([token]) for token in vocabulary.encode(text)]
    assert "".join(pieces) + stream.flush() == text
    assert not any("\ufffd" in piece for piece in pieces) or "\ufffd" in text


# Markers, summaries, quotations: text like any other


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversation=conversations(), summary=free_text, left_out=st.integers(0, 3))
def test_markers_and_a_summary_are_the_references_ids_for_their_words(
    conversation: tuple[list[Turn], str | None],
    summary: str,
    left_out: int,
    vocabulary: Vocabulary,
    tokenizer: Any,
) -> None:
    """The first pictures are replaced; the reference is given the words in their places."""
    turns, system = conversation
    seen, words = [], []
    if summary:
        words.append(turn(Role.USER, SUMMARY.format(text=summary)))
    for one in turns:
        hidden = frozenset(range(min(left_out, len(one.pictures))))
        left_out -= len(hidden)
        seen.append(Seen(one, hidden))
        markers = [PICTURE_LEFT_OUT.format(number=at + 1) + "\n" for at in sorted(hidden)]
        words.append(
            turn(one.role, "".join(markers) + one.text)
            if len(hidden) == len(one.pictures)
            else turn(one.role, one.text, len(one.pictures), one.token_ids)
        )
        if 0 < len(hidden) < len(one.pictures):  # a marker ahead of a picture, then the text
            words[-1] = turn(one.role, f"{markers[0]}@PICTURE@\n{one.text}")
    prompt = chat(vocabulary).render(seen, slot_of, system=system, summary=summary)
    runs = [list(part) for part in prompt.parts if isinstance(part, tuple)]
    assert runs == reference_ids(tokenizer, words, system)


def control_names(vocabulary: Vocabulary) -> list[str]:
    """Every token that is no text."""
    return list(vocabulary._ids)


anything = st.lists(st.sampled_from(CONTROL) | st.text(max_size=8), max_size=6).map("".join)


@pytest.fixture(scope="module", params=["demo", *TOKENIZERS])
def any_vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    if request.param == "demo":
        return Vocabulary.from_folder(demo.folder())
    return Vocabulary.from_folder(request.getfixturevalue(f"{request.param}_tokenizer"))


@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    texts=st.lists(st.tuples(anything, anything, st.integers(0, 2), st.booleans()), max_size=3),
    system=st.none() | anything,
    summary=anything,
    question=anything,
)
def test_no_control_token_but_the_templates_own(
    texts: list[tuple[str, str, int, bool]],
    system: str | None,
    summary: str,
    question: str,
    any_vocabulary: Vocabulary,
) -> None:
    seen = []
    for asked, answered, pictures, is_quoted in texts:
        one = turn(Role.USER, asked, pictures)
        kind = TurnKind.RECALL if is_quoted else TurnKind.MESSAGE
        seen += [Seen(replace(one, kind=kind), frozenset(range(pictures - 1)))]
        seen += [Seen(turn(Role.ASSISTANT, answered))]
    seen.append(Seen(turn(Role.USER, question)))
    prompt = chat(any_vocabulary).render(seen, slot_of, system=system, summary=summary)
    ids = [one for part in prompt.parts if isinstance(part, tuple) for one in part]
    expected = Counter(
        {
            "<s>": 1 + len(prompt.slots),
            "<|system|>": int(bool(system)),
            "<|user|>": len(texts) + 1 + int(bool(summary)),
            "<|assistant|>": len(texts) + 1,
        }
    )
    expected["<|end|>"] = sum(expected.values()) - expected["<s>"] - 1
    control = {any_vocabulary.id(name): name for name in control_names(any_vocabulary)}
    found = Counter(control[one] for one in ids if one in control)
    assert found == +expected


def test_a_half_reply_is_left_open(vocabulary: Vocabulary) -> None:
    said, end = vocabulary.encode("It is"), vocabulary.id("<|end|>")
    (run,) = chat(vocabulary).render([turn(Role.USER, "x")], slot_of, begun=(*said, end)).parts
    assert isinstance(run, tuple)
    assert run[-1 - len(said) :] == (vocabulary.id("<|assistant|>"), *said)
