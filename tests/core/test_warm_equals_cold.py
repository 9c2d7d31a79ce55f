"""Whatever a person did before, a greedy reply is the one that an uncached run gives.

Random lives of several sessions on one resident model: sent, edited, answered
again, branched, cut short by the window, stopped, continued, resumed by
another process, with pictures anywhere, across the LongRoPE switch in both
directions, within budgets that keep everything, little or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from assistant.conversation import FinishReason
from assistant.core import (
    GenerationEnded,
    Prompt,
    Sampling,
    Slot,
    TokensGenerated,
    residency,
    speculation,
)
from assistant.core.cache import KVCache
from assistant.core.formats import KV_BLOCK
from assistant.core.generation import ResidentModel
from tests.core.tiny import (
    CONTEXT,
    HEAD_DIM,
    HEADS,
    LAYERS,
    PICTURE_TOKENS,
    VOCAB,
    crops_of,
    tiny_phi3v,
    uncached,
)

STOP_IDS = frozenset({2})
USER, ASSISTANT, END = 3, 4, 5
CHUNKS = [1, 7, 64, CONTEXT]
BLOCK_BYTES = 2 * LAYERS * HEADS * HEAD_DIM * 4 * KV_BLOCK
"""What a conversation here mostly takes: caches grow in blocks."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residency, "WORTH_KEEPING", 4)  # conversations are short here
        patch.setattr(speculation, "NGRAM", 1)  # and seldom repeat three ids
        yield
    torch.set_num_threads(threads)


@dataclass
class Exchange:
    """A question with its pictures, and the reply's ids, ended or not."""

    question: tuple[tuple[int, ...] | Slot, ...]
    reply: list[int] = field(default_factory=list)
    ended: bool = False


Branch = list[Exchange]


class Life:
    """Sessions, each a list of branches, on one resident model after another."""

    def __init__(self, oracle: Callable[[Prompt, int], list[int]], **options: Any) -> None:
        self._oracle = oracle
        self._options = options
        self.resume()
        self._sessions: list[list[Branch]] = [[[]], [[]]]
        self._at = 0
        self._first_shown = [0, 0]

    @property
    def branch(self) -> Branch:
        return self._sessions[self._at][-1]

    def resume(self) -> None:
        """Another process, which knows nothing."""
        self._model = ResidentModel(tiny_phi3v(), STOP_IDS, CONTEXT, **self._options)

    def prompt(self) -> Prompt:
        parts: list[tuple[int, ...] | Slot] = [(1, 6, 7, 8)]
        shown = self.branch[min(self._first_shown[self._at], max(0, len(self.branch) - 1)) :]
        for exchange in shown:
            parts += [(USER,), *exchange.question, (END, ASSISTANT), tuple(exchange.reply)]
            if exchange.ended:
                parts.append((END,))
        return Prompt(tuple(parts))

    def answer(self, tokens: int, patience: int | None) -> None:
        """Have the last exchange answered; stop is asked for after ``patience`` looks at it."""
        prompt = self.prompt()
        if prompt.tokens >= CONTEXT - tokens:
            del self.branch[:-1]  # what the window does
            prompt = self.prompt()
        looks = 0

        def stop() -> bool:
            nonlocal looks
            looks += 1
            return patience is not None and looks > patience

        got: list[int] = []
        asked_to_stop = False
        for event in self._model.generate(prompt, Sampling(max_new_tokens=tokens), crops_of, stop):
            if isinstance(event, TokensGenerated):
                assert not asked_to_stop, "an id came after the stop"
                got += event.ids
            asked_to_stop = patience is not None and looks > patience
        assert isinstance(event, GenerationEnded)
        want = self._oracle(prompt, tokens)
        if event.finish_reason is FinishReason.STOPPED:
            assert got == want[: len(got)]
        else:
            assert got == want
        last = self.branch[-1]
        last.reply += [token for token in got if token not in STOP_IDS]
        last.ended = event.finish_reason is FinishReason.STOP

    def do(self, step: Step) -> None:
        branch = self.branch
        if step.what == "switch":
            self._at = 1 - self._at
            if not self.branch:
                return
        elif step.what == "resume":
            self.resume()
        elif step.what == "evict":
            self._first_shown[self._at] = step.place % (len(branch) + 1)
        elif step.what == "send" or not branch:
            branch.append(Exchange(step.question))
        elif step.what == "edit":
            place = step.place % len(branch)
            self._sessions[self._at].append([*branch[:place], Exchange(step.question)])
        elif step.what == "again":
            place = step.place % len(branch)
            again = Exchange(branch[place].question)
            self._sessions[self._at].append([*branch[:place], again])
        elif step.what == "branch":
            branches = self._sessions[self._at]
            branches.append(branches.pop(step.place % len(branches)))
            if not self.branch:
                return
        elif step.what == "continue":
            branch[-1].ended = False
        if self.branch:
            self.answer(step.tokens, step.patience)


@dataclass(frozen=True)
class Step:
    what: str
    place: int
    question: tuple[tuple[int, ...] | Slot, ...]
    tokens: int
    patience: int | None


KINDS = ["send", "send", "edit", "again", "branch", "branch"]
KINDS += ["evict", "switch", "resume", "continue"]
slots = st.builds(
    lambda name, crops: Slot(name, crops, PICTURE_TOKENS[crops]),
    st.sampled_from("abc"),
    st.sampled_from(list(PICTURE_TOKENS)),
)
words = st.lists(st.integers(6, VOCAB - 1), min_size=1, max_size=24).map(tuple)
steps = st.builds(
    Step,
    st.sampled_from(
        [
            "send",
            "send",
            "edit",
            "again",
            "branch",
            "branch",
            "evict",
            "switch",
            "resume",
            "continue",
        ]
    ),
    st.integers(0, 7),
    st.lists(words | words | slots, min_size=1, max_size=3).map(tuple),
    st.integers(1, 8),
    st.none() | st.none() | st.integers(0, 20),
)
lives = st.lists(steps, min_size=3, max_size=12)
budgets = st.fixed_dictionaries(
    {
        "prefill_chunk": st.sampled_from(CHUNKS),
        "kv_budget": st.sampled_from([0, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES, 2**30]),
        "host_budget": st.sampled_from([0, 2 * BLOCK_BYTES]),
        "feature_budget": st.sampled_from([0, 2**20]),
        "speculate": st.booleans(),
    }
)
unhurried = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def without_a_cache(prompt: Prompt, tokens: int) -> list[int]:
    return uncached(prompt, tokens, STOP_IDS)


def int8_from_nothing(prompt: Prompt, tokens: int) -> list[int]:
    """A cold run in one chunk over an int8 cache, which has no uncached counterpart."""
    model = ResidentModel(
        tiny_phi3v(), STOP_IDS, CONTEXT, prefill_chunk=CONTEXT, new_cache=INT8, speculate=False
    )
    events = model.generate(prompt, Sampling(max_new_tokens=tokens), crops_of, lambda: False)
    return [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]


INT8 = partial(KVCache, LAYERS, kind="int8")


def live(life: list[Step], options: dict[str, Any]) -> None:
    lived = Life(without_a_cache, **options)
    for step in life:
        lived.do(step)


def live_in_int8(life: list[Step], options: dict[str, Any]) -> None:
    lived = Life(int8_from_nothing, new_cache=INT8, **options)
    for step in life:
        lived.do(step)


@settings(unhurried, max_examples=40)
@given(life=lives, options=budgets)
def test_warm_equals_cold(life: list[Step], options: dict[str, Any]) -> None:
    live(life, options)


@settings(unhurried, max_examples=8)
@given(life=lives, options=budgets)
def test_warm_equals_cold_in_int8(life: list[Step], options: dict[str, Any]) -> None:
    live_in_int8(life, options)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(unhurried, max_examples=2500)
@given(life=lives, options=budgets)
def test_warm_equals_cold_thousands_of_times(life: list[Step], options: dict[str, Any]) -> None:
    live(life, options)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(unhurried, max_examples=500)
@given(life=lives, options=budgets)
def test_warm_equals_cold_in_int8_often(life: list[Step], options: dict[str, Any]) -> None:
    live_in_int8(life, options)
