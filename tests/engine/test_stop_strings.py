"""Stop strings are found wherever a text is broken, and nothing after them is shown."""

from __future__ import annotations

import itertools

from hypothesis import given, strategies as st

from assistant.engine.stop_strings import StopStrings

letters = st.text("ab", max_size=30)
stops = st.lists(st.text("ab", max_size=4), max_size=3)


@given(text=letters, strings=stops, cuts=st.lists(st.integers(0, 30), max_size=10))
def test_any_breaking_gives_the_same(text: str, strings: list[str], cuts: list[int]) -> None:
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    watch = StopStrings(strings)
    shown, found = "", False
    for start, end in itertools.pairwise(borders):
        piece, found = watch.feed(text[start:end])
        shown += piece
        assert text.startswith(shown)
        assert not any(one and one in shown for one in strings)
        if found:
            break
    if found:
        assert any(one and text.startswith(one, len(shown)) for one in strings)
    else:
        assert shown + watch.flush() == text
        assert not any(one and one in text for one in strings)


@given(begun=letters, text=letters, strings=stops)
def test_one_is_found_across_the_end_of_what_was_begun(
    begun: str, text: str, strings: list[str]
) -> None:
    watch = StopStrings(strings, begun)
    kept = begun.removesuffix(watch.held)
    assert kept + watch.held == begun
    shown, found = watch.feed(text)
    crosses = any(
        one and one in begun[-n:] + text[: len(one) - n]
        for one in strings
        for n in range(1, min(len(one), len(begun) + 1))
    )
    assert found or not crosses
    if not found:
        assert kept + shown + watch.flush() == begun + text


def test_nothing_is_held_back_without_need() -> None:
    watch = StopStrings(["User:"])
    assert watch.feed("It is. Us") == ("It is. ", False)
    assert watch.feed("ed cars") == ("Used cars", False)
    assert watch.feed(" User") == (" ", False)
    assert watch.feed(": x") == ("", True)
