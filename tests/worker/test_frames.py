"""Frames between terminal and worker come out as they went in, or not at all."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, strategies as st

from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from assistant.worker.frames import (
    FrameError,
    parse_header,
    prompt_from_json,
    prompt_to_json,
    sampling_from_json,
)

PARTS = st.lists(
    st.lists(st.integers(0, 32063), max_size=9).map(tuple)
    | st.builds(Slot, st.text(max_size=9), st.integers(1, 64), st.integers(1, 2509)),
    max_size=9,
)
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.floats(0, 10),
    top_k=st.integers(0, 100),
    seed=st.none() | st.integers(0, 2**63 - 1),
    stop=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(PARTS)
def test_a_prompt_survives(parts: list[Any]) -> None:
    prompt = Prompt(tuple(parts))
    assert prompt_from_json(json.loads(json.dumps(prompt_to_json(prompt)))) == prompt


@pytest.mark.parametrize("begun", [-1, 4, True, 1.0, None])
def test_a_reply_that_goes_on_is_at_the_end_of_the_prompt(begun: Any) -> None:
    assert prompt_from_json([[9], [1, 2, 3]], 2).begun_ids == (2, 3)
    with pytest.raises(FrameError):
        prompt_from_json([[9], [1, 2, 3]], begun)


@given(SAMPLINGS)
def test_a_sampling_survives(sampling: Sampling) -> None:
    assert sampling_from_json(json.loads(json.dumps(asdict(sampling)))) == sampling


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": "hot"},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": 10**400},
        {"temperature": None},
        {"top_k": True},
        {"top_k": 1.0},
        {"top_k": 10**30},
        {"seed": "1"},
        {"stop": "word"},
        {"stop": [1]},
        {"nonsense": 1},
    ],
)
def test_a_wrong_sampling_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        sampling_from_json(asdict(Sampling()) | {"stop": []} | change)


@pytest.mark.parametrize(
    "parts",
    [
        None,
        {},
        [1],
        ["text"],
        [[-1]],
        [[1.0]],
        [[True]],
        [[2**40]],
        [{}],
        [{"pixels": "a", "detail": 1, "tokens": 0}],
        [{"pixels": "a", "detail": 10**9, "tokens": 1}],
        [{"pixels": 1, "detail": 1, "tokens": 1}],
    ],
)
def test_a_wrong_prompt_is_refused(parts: Any) -> None:
    with pytest.raises(FrameError):
        prompt_from_json(parts)


@given(JSON)
def test_any_json_is_taken_or_refused(value: Any) -> None:
    for parse in (prompt_from_json, sampling_from_json):
        try:
            parse(value)
        except FrameError:
            continue


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_a_header_is_an_object(text: bytes) -> None:
    with pytest.raises(FrameError):
        parse_header(text)
