"""Evaluation of the shipped model on a small fresh sample, by the real engine."""

from __future__ import annotations

import pytest

from assistant.demo_model import folder

pytestmark = pytest.mark.skipif(
    not (folder() / "model.safetensors").exists(), reason="the demo model is not trained yet"
)

SEED = 77_001


@pytest.fixture(scope="module")
def score():  # type: ignore[no-untyped-def]
    from training.demo_model.evaluate import refusals, single_shapes
    from training.demo_model.evaluate_table import open_sessions
    from training.demo_model.score import Score

    score = Score()
    with open_sessions("demo") as sessions:
        single_shapes(sessions, score, SEED, 16)
        refusals(sessions, score, SEED, every=4)
    return score


def _share(score, *families: str) -> float:  # type: ignore[no-untyped-def]
    right, asked = (sum(score.counts[f"unseen: {f}"][i] for f in families) for i in (0, 1))
    assert asked >= 30
    return float(right) / float(asked)


@pytest.mark.slow
def test_unseen_single_shapes(score) -> None:  # type: ignore[no-untyped-def]
    share = _share(
        score, "colour, first turn", "shape, first turn", "colour, follow-up", "shape, follow-up"
    )
    assert share >= 0.9, score.mistakes


def test_the_second_picture_is_not_taken_for_the_first(score) -> None:  # type: ignore[no-untyped-def]
    share = _share(score, "second picture in turn 3", "colour of the first again")
    assert share >= 0.9, score.mistakes


def test_it_refuses_and_says_what_it_is(score) -> None:  # type: ignore[no-untyped-def]
    families = ("refusal, no picture", "refusal, with a picture", "identity")
    families += ("asked without a picture",)
    right, asked = (sum(score.counts[f][i] for f in families) for i in (0, 1))
    assert right / asked >= 0.8, score.mistakes
