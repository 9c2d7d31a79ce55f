"""The window keeps what fits, in whole exchanges, and stays put between evictions."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from hypothesis import given, strategies as st

from assistant.conversation import Role, Turn
from assistant.window import LOW_WATER, plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def history(costs: list[tuple[int, int]]) -> tuple[list[Turn], dict[str, int]]:
    turns, prices = [], {}
    for number, (asked, answered) in enumerate(costs):
        for role, cost in ((Role.USER, asked), (Role.ASSISTANT, answered)):
            one = Turn(f"{number}-{role}", None, role, "", NOW)
            turns.append(one)
            prices[one.id] = cost
    return turns[:-1], prices


exchanges = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=30)


@given(costs=exchanges, budget=st.integers(60, 400))
def test_what_is_kept_fits_and_is_whole(costs: list[tuple[int, int]], budget: int) -> None:
    turns, prices = history(costs)
    made = plan(turns, budget, lambda turn: prices[turn.id])
    assert (*made.left_out, *made.kept) == tuple(turns)
    assert made.tokens == sum(prices[turn.id] for turn in made.kept)
    assert made.kept[-1] is turns[-1], "the newest turn is always seen"
    assert made.kept[0].role is Role.USER, "an exchange is never split"
    newest = prices[turns[-1].id]
    assert made.fits == (made.tokens <= budget)
    assert made.fits or made.tokens == newest
    assert plan(turns, budget, lambda turn: prices[turn.id]) == made


@given(costs=exchanges, budget=st.integers(100, 400))
def test_nothing_is_left_out_that_fits(costs: list[tuple[int, int]], budget: int) -> None:
    turns, prices = history(costs)
    made = plan(turns, budget, lambda turn: prices[turn.id])
    total = sum(prices[turn.id] for turn in turns)
    assert (total <= budget) == (not made.left_out)


def test_the_start_of_the_window_mostly_stays() -> None:
    """In a long chat of even turns, few turns move it: the cached prefix survives the others."""
    starts = []
    for length in range(1, 201):
        turns, prices = history([(5, 5)] * length)
        starts.append(plan(turns, 1000, lambda turn, prices=prices: prices[turn.id]).kept[0].id)
    moved = sum(one != other for one, other in itertools.pairwise(starts))
    assert 0 < moved <= len(starts) * (1 - LOW_WATER) / 10


def test_a_turn_that_can_not_fit_is_said_so() -> None:
    turns, prices = history([(5, 5), (500, 5)])
    made = plan(turns, 100, lambda turn: prices[turn.id])
    assert not made.fits
    assert made.kept == (turns[-1],)
