"""Warm equals cold: a greedy reply is that of an uncached run, whatever a user did before.

Random histories of several sessions on one resident model: sent, edited, answered
again, branched, cut short by the window, stopped (between tokens, chunks and layers),
continued, resumed by another process, with pictures anywhere, with what a user will
probably send read ahead, wholly or in part, across the LongRoPE switch in both
directions, within budgets that keep everything, little or nothing, and with memory running out
in any layer of any pass. Single tokens of a float cache are computed by the compiled kernels in
half of the histories, as in large models, and by torch in the others.

A float cache is held against forward passes without any cache. Quantized KV has no such
counterpart: it is held against a cold run over the same kind of KV in one chunk. What is
promised there is that the reply is a function of the sequence alone, whatever the past was. It
is computed in float64, so that no number lies between two steps by rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch.nn.functional import pad

from assistant.core import attention, decode as decoding, layers, residency, speculation
from assistant.core.cache.kv_cache import KVCache
from assistant.core.cpu import tiles
from assistant.core.cpu.amx_attention import attend
from assistant.core.formats import KV_BLOCK
from assistant.core.generate import ResidentModel
from assistant.values.conversation import FinishReason
from assistant.values.errors import ModelError
from assistant.values.generation import GenerationEnded, TokensGenerated
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from tests.core.tiny import (
    CONTEXT,
    HEAD_DIM,
    HEADS,
    LAYERS,
    PICTURE_TOKENS,
    SWITCH,
    VOCAB,
    crops_of,
    narrow_phi3v,
    tiny_phi3v,
    uncached,
)
from tests.tiers import examples

STOP_IDS = frozenset({2})
USER, ASSISTANT, END = 3, 4, 5
QUANTIZED = ["int8", "int4"]
NARROW = "bfloat16"
"""A float cache of a model whose matrices are bfloat16."""
CHUNKS = [1, 7, 64, CONTEXT]
BLOCK_BYTES = 2 * LAYERS * HEADS * HEAD_DIM * 4 * KV_BLOCK
"""Positions that a conversation here mostly takes: caches grow in blocks."""


class Memory:
    """Runs out after a layer of some forward pass, ``times`` times in a row."""

    def __init__(self) -> None:
        self.layers: int | None = None
        self.times = 0

    def layer_pass(self, *arguments: Any) -> torch.Tensor:
        out = decoding_layer_pass(*arguments)
        if self.layers is not None and self.times:
            self.layers -= 1
            if self.layers <= 0:
                self.times -= 1
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return out


decoding_layer_pass = decoding.layer_pass
memory = Memory()


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residency, "WORTH_KEEPING", 4)  # conversations are short here
        patch.setattr(speculation, "NGRAM", 1)  # and seldom repeat three ids
        patch.setattr(decoding, "layer_pass", memory.layer_pass)
        yield


@dataclass
class Exchange:
    """A question with its pictures, and the reply's ids, ended or not."""

    question: tuple[tuple[int, ...] | Slot, ...]
    reply: list[int] = field(default_factory=list)
    ended: bool = False


Branch = list[Exchange]


class History:
    """Sessions, each a list of branches, on one resident model after another."""

    def __init__(self, kind: str, **options: Any) -> None:
        self._kind = kind
        self._options = options
        self.resume()
        self._sessions: list[list[Branch]] = [[[]], [[]], [[]]]
        self._at = 0
        self._first_shown = [0, 0, 0]

    @property
    def branch(self) -> Branch:
        return self._sessions[self._at][-1]

    def resume(self) -> None:
        """Another process, which knows nothing."""
        self._model = resident(self._kind, **self._options)

    def prompt(self) -> Prompt:
        parts: list[tuple[int, ...] | Slot] = [(1, 6, 7, 8)]
        shown = self.branch[min(self._first_shown[self._at], max(0, len(self.branch) - 1)) :]
        for exchange in shown:
            parts += [(USER,), *exchange.question, (END, ASSISTANT), tuple(exchange.reply)]
            if exchange.ended:
                parts.append((END,))
        return Prompt(tuple(parts))

    def answer(self, tokens: int, patience: int | None, failing: tuple[int, int]) -> None:
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
        reason = code = None
        asked_to_stop = False
        memory.layers, memory.times = failing
        try:
            sampling = Sampling(max_new_tokens=tokens)
            for event in self._model.generate(prompt, sampling, crops_of, stop):
                if isinstance(event, TokensGenerated):
                    assert not asked_to_stop, "an id came after the stop"
                    got += event.ids
                asked_to_stop = patience is not None and looks > patience
            assert isinstance(event, GenerationEnded)
            reason = event.finish_reason
        except ModelError as error:
            code = error.code
        ran_out, memory.times = failing[1] - memory.times, 0
        assert code == ("memory" if ran_out == 2 else None), "once is borne"
        want = cold(self._kind, prompt, tokens)
        if reason in (None, FinishReason.STOPPED):
            assert got == want[: len(got)]
        else:
            assert got == want
        last = self.branch[-1]
        last.reply += [token for token in got if token not in STOP_IDS]
        last.ended = reason is FinishReason.STOP

    def read_ahead(self, step: Step) -> None:
        """Read the beginning of what may be sent next, until it is all, paused, stopped or over."""
        prompt = self.prompt()
        most = prompt.tokens * step.place // 7
        parts, length = [], 0
        for part in (*prompt.parts, *step.question):
            if length < most:
                parts.append(part)
                length += Prompt((part,)).tokens
        looks = 0

        def asked() -> bool:
            nonlocal looks
            looks += 1
            return step.patience is not None and looks > step.patience

        memory.layers, memory.times = step.failing
        whole = self._model.read_ahead(
            Prompt(tuple(parts)),
            step.tokens,
            crops_of,
            asked if step.place % 2 else lambda: False,
            lambda: False if step.place % 2 else asked(),
        )
        ran_out, memory.times = memory.times < step.failing[1], 0
        assert not (whole and ran_out), "nothing gives way"

    def do(self, step: Step) -> None:
        branch = self.branch
        if step.what == "ahead":
            self.read_ahead(step)
            return
        if step.what == "switch":
            self._at = (self._at + 1 + step.place % 2) % len(self._sessions)
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
        elif step.what == "recut":  # the same words, the pictures in other crops
            place = step.place % len(branch)
            question = tuple(map(recut, branch[place].question))
            self._sessions[self._at].append([*branch[:place], Exchange(question)])
        elif step.what == "branch":
            branches = self._sessions[self._at]
            branches.append(branches.pop(step.place % len(branches)))
            if not self.branch:
                return
        elif step.what == "continue":
            branch[-1].ended = False
        if self.branch:
            self.answer(step.tokens, step.patience, step.failing)


def recut(part: tuple[int, ...] | Slot) -> tuple[int, ...] | Slot:
    if not isinstance(part, Slot):
        return part
    crops = part.detail % 3 + 1
    return Slot(part.pixels_sha256, crops, PICTURE_TOKENS[crops])


@dataclass(frozen=True)
class Step:
    what: str
    place: int
    question: tuple[tuple[int, ...] | Slot, ...]
    tokens: int
    patience: int | None
    failing: tuple[int, int]
    """The layer pass in which memory runs out, and how often in a row."""


KINDS = ["send", "send", "edit", "again", "branch", "branch"]
KINDS += ["evict", "switch", "resume", "continue", "recut", "ahead", "ahead"]
slots = st.builds(
    lambda name, crops: Slot(name, crops, PICTURE_TOKENS[crops]),
    st.sampled_from("abc"),
    st.sampled_from(list(PICTURE_TOKENS)),
)
words = st.builds(
    lambda count, seed: tuple(6 + seed * at * (at + seed) % (VOCAB - 6) for at in range(count)),
    st.integers(1, 40),
    st.integers(1, VOCAB),
)
steps = st.builds(
    Step,
    st.sampled_from(KINDS),
    st.integers(0, 7),
    st.lists(words | words | slots, min_size=1, max_size=3).map(tuple),
    st.integers(1, 8),
    st.none() | st.none() | st.integers(0, 20),
    st.just((0, 0)) | st.just((0, 0)) | st.tuples(st.integers(1, 40), st.integers(1, 2)),
)
histories = st.lists(steps, min_size=3, max_size=12)
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


@cache
def cold(kind: str, prompt: Prompt, tokens: int) -> list[int]:
    """The greedy reply of a run that knows nothing."""
    if kind in ("float", NARROW):
        return uncached(prompt, tokens, STOP_IDS, rounded=kind == NARROW)
    model = resident(kind, prefill_chunk=CONTEXT, speculate=False)
    events = model.generate(prompt, Sampling(max_new_tokens=tokens), crops_of, lambda: False)
    return [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]


def resident(kind: str, **options: Any) -> ResidentModel:
    if kind == NARROW:
        model, kind = narrow_phi3v(), "float"
    else:
        model = tiny_phi3v(torch.float32 if kind == "float" else torch.float64)
    return ResidentModel(
        model, STOP_IDS, CONTEXT, new_cache=partial(KVCache, LAYERS, kind=kind), **options
    )


def replay(kind: str, history: list[Step], options: dict[str, Any], compiled: bool = False) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "_known", WeakKeyDictionary())
        patch.setattr("assistant.core.cpu.acceleration.SMALLEST_LAYERS", 0 if compiled else 2**62)
        replayed = History(kind, **options)
        for step in history:
            replayed.do(step)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("speculate", [False, True])
def test_every_length_about_the_switch(chunk: int, speculate: bool) -> None:
    """To the position: replies that begin below, at and beyond it, on one model after another."""
    model = resident("float", prefill_chunk=chunk, speculate=speculate)
    for length in (*range(SWITCH - 4, SWITCH + 3), SWITCH - 2):
        text = tuple(6 + (7 * at * at + length) % 9 for at in range(length))
        events = model.generate(
            Prompt((text,)), Sampling(max_new_tokens=7), crops_of, lambda: False
        )
        got = [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]
        assert got == cold("float", Prompt((text,)), 7)


@pytest.mark.parametrize("kind", ["float", *QUANTIZED])
@pytest.mark.parametrize("before", [47, 60, 63, 64])
@pytest.mark.parametrize("kv_budget", [0, 2**30], ids=["cut", "copied"])
def test_a_cut_never_ends_inside_a_picture(kind: str, before: int, kv_budget: int) -> None:
    """Quantized KV goes back to the border of a block, 64, which may lie in one."""
    model = resident(kind, kv_budget=kv_budget)
    start = tuple(6 + at * at % 31 for at in range(before))
    for end in (tuple(6 + at % 7 for at in range(200)), (9, 8, 7) * 20):  # both beyond the switch
        prompt = Prompt((start, Slot("a", 2, PICTURE_TOKENS[2]), (6, 7, 8), end))
        events = model.generate(prompt, Sampling(max_new_tokens=4), crops_of, lambda: False)
        got = [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]
        assert got == cold(kind, prompt, 4)


@pytest.mark.parametrize("kind", ["float", *QUANTIZED])
@pytest.mark.parametrize("layers", [1, LAYERS, LAYERS + 1])
def test_what_was_read_when_memory_ran_out_is_not_reused(kind: str, layers: int) -> None:
    """One layer holds the last chunk and the next does not: the same question begins again."""
    model = resident(kind, prefill_chunk=64)
    prompt = Prompt((tuple(6 + at * at % 31 for at in range(150)),))
    memory.layers, memory.times = layers, 2
    with pytest.raises(ModelError, match="ran out of memory"):
        list(model.generate(prompt, Sampling(max_new_tokens=4), crops_of, lambda: False))
    assert memory.times == 0
    events = model.generate(prompt, Sampling(max_new_tokens=4), crops_of, lambda: False)
    got = [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]
    assert got == cold(kind, prompt, 4)


@settings(unhurried, max_examples=examples(40))
@given(history=histories, options=budgets, compiled=st.booleans())
def test_warm_equals_cold(history: list[Step], options: dict[str, Any], compiled: bool) -> None:
    replay("float", history, options, compiled)


@settings(unhurried, max_examples=examples(10))
@given(kind=st.sampled_from(QUANTIZED), history=histories, options=budgets)
def test_warm_equals_cold_in_few_bits(
    kind: str, history: list[Step], options: dict[str, Any]
) -> None:
    replay(kind, history, options)


@settings(unhurried, max_examples=examples(10), derandomize=True)
@given(history=histories, options=budgets)
def test_warm_equals_cold_with_matrices_of_bfloat16(
    history: list[Step], options: dict[str, Any]
) -> None:
    """Few rows and many are multiplied by different kernels.

    With AMX logits are some 1e-5 apart, so that one in 200,000 ids may be another: the same cases
    each time.
    """
    replay(NARROW, history, options, compiled=True)


@pytest.mark.skipif(not tiles.is_here(), reason="this processor has no AMX")
@settings(unhurried, max_examples=examples(10), derandomize=True)
@given(history=histories, options=budgets)
def test_warm_equals_cold_with_attention_by_tiles(
    history: list[Step], options: dict[str, Any]
) -> None:
    """Prompts of any length by the kernel, tokens by another; always the same cases, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "attention_for", lambda *_: attend_wider)
        replay(NARROW, history, options, compiled=True)


def attend_wider(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, causal: bool
) -> attention.Part:
    """Attend by the kernel, which takes heads of 32 numbers: the scale is that of 16."""
    q, k, v = (pad(one, (0, 32 - HEAD_DIM)) for one in (q * (32 / HEAD_DIM) ** 0.5, k, v))
    out, lse = attend(q, k, v, causal=causal)
    return out[..., :HEAD_DIM], lse


@pytest.mark.long
@pytest.mark.timeout(6000)
@settings(unhurried, max_examples=2500)
@given(history=histories, options=budgets, compiled=st.booleans())
def test_warm_equals_cold_thousands_of_times(
    history: list[Step], options: dict[str, Any], compiled: bool
) -> None:
    replay("float", history, options, compiled)


@pytest.mark.long
@pytest.mark.timeout(6000)
@settings(unhurried, max_examples=600)
@given(kind=st.sampled_from(QUANTIZED), history=histories, options=budgets)
def test_warm_equals_cold_in_few_bits_often(
    kind: str, history: list[Step], options: dict[str, Any]
) -> None:
    replay(kind, history, options)
