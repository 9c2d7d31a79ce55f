"""Picture numbers are for ever: checked over sequences that Hypothesis makes up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from assistant.values.conversation import Draft, FinishReason, Role, Turn
from assistant.values.region import Region
from storage.store import Store
from tests.storage.stored_pictures import make_page, make_part, make_picture


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    """One store for all examples: each makes its own session."""
    store = Store.open(":memory:")
    yield store
    store.close()


# Where a message goes: the end of the branch, the beginning (None), or after some earlier turn.
_places = st.one_of(st.just("end"), st.none(), st.integers(0, 50))
_contents = st.lists(st.sampled_from("abcd"), max_size=3)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), _places, _contents),
        st.tuples(st.just("reply"), st.integers(0, 50), st.just([])),
        st.tuples(st.just("edit"), st.integers(0, 50), _contents),
    ),
    min_size=1,
    max_size=8,
)


@given(_steps)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_numbers_count_attachments_in_order_and_never_change(
    shared: Store, steps: list[tuple[str, int | str | None, list[str]]]
) -> None:
    session, first = shared.add_user_turn(None, Draft("start", (make_picture("a"),)))
    turns = [first]
    numbered = {1: make_picture("a").sha256}
    for kind, place, contents in steps:
        pictures = tuple(make_picture(c) for c in contents)
        if kind == "reply":
            assert isinstance(place, int)
            turns.append(_reply(shared, session, turns[place % len(turns)]))
            continue
        parent = _parent(shared, session, turns, kind, place)
        kept = Counter(
            p.sha256
            for p in {
                picture
                for turn in turns
                if turn.role is Role.USER and turn.parent == parent
                for picture in turn.pictures
            }
        )
        _, turn = shared.add_user_turn(session, Draft("more", pictures), parent=parent)
        for picture in turn.pictures:
            if kept[picture.sha256] > 0:  # another version of this message showed it
                kept[picture.sha256] -= 1
                assert numbered[picture.number] == picture.sha256
            else:
                assert picture.number == len(numbered) + 1
                numbered[picture.number] = picture.sha256
        assert [p.sha256 for p in turn.pictures] == [p.sha256 for p in pictures]
        turns.append(turn)

    assert sorted(numbered) == list(range(1, len(numbered) + 1))
    assert shared.all_turns(session) == tuple(turns)
    for turn in turns:
        branch = shared.conversation(session, head=turn.id).turns
        assert branch[-1] == turn
        assert [t.parent for t in branch] == [None, *(t.id for t in branch[:-1])]
    shared.delete(session)


def _reply(store: Store, session: str, parent: Turn) -> Turn:
    reply = store.start_reply(session, parent.id, model="demo")
    return store.finish_reply(
        reply.id,
        text="ok",
        token_ids=None,
        finish_reason=FinishReason.STOP,
        usage=None,
        timings=None,
    )


def _parent(
    store: Store, session: str, turns: list[Turn], kind: str, place: int | str | None
) -> str | None:
    if isinstance(place, int):
        turn = turns[place % len(turns)]
        return turn.parent if kind == "edit" else turn.id
    return None if place is None else store.conversation(session).turns[-1].id


def test_a_part_knows_the_number_of_its_picture_in_whatever_order_they_come(store: Store) -> None:
    whole = make_picture("a")
    session, turn = store.add_user_turn(None, Draft("see", (make_part(whole, 10), whole)))
    assert [p.region and p.region.number for p in turn.pictures] == [2, None]
    _, later = store.add_user_turn(session, Draft("and", (make_part(whole, 30, "other"),)))
    region = later.pictures[0].region
    assert region == Region(whole.sha256, 30, 20, 100, 80, number=2)
    _, stranger = store.add_user_turn(None, Draft("alone", (make_part(whole, 10),)))
    assert stranger.pictures[0].region == make_part(whole, 10).region


def test_two_parts_with_the_same_pixels_keep_their_own_numbers(store: Store) -> None:
    whole = make_picture("a")
    one, other = make_part(whole, 10), make_part(whole, 30)
    session, turn = store.add_user_turn(None, Draft("see", (one, other)))
    _, edited = store.add_user_turn(session, Draft("again", (other,)), parent=turn.parent)
    assert [p.number for p in edited.pictures] == [2]
    assert edited.pictures[0].region == other.region
    draft = store.draft_of(session, edited.id)
    assert draft.pictures[0].region == edited.pictures[0].region


def test_a_draft_and_a_fork_keep_themake_part(store: Store) -> None:
    whole = make_picture("a")
    store.save_draft(None, Draft("see", (make_part(whole, 10),)))
    kept = store.draft(None)
    assert kept is not None
    assert kept.pictures[0].region == make_part(whole, 10).region
    session, first = store.add_user_turn(None, Draft("whole", (whole,)))
    store.add_user_turn(session, Draft("part", (make_part(whole, 10),)))
    forked = store.conversation(store.fork(session))
    assert [p.region and p.region.number for p in forked.pictures] == [None, 1]
    _, beside = store.add_user_turn(
        session, Draft("part alone", (make_part(whole, 40),)), parent=first.parent
    )
    alone = store.conversation(store.fork(session, beside.id))
    assert [p.region and p.region.number for p in alone.pictures] == [0]


def test_blank_pages_keep_their_own_numbers_in_drafts_and_forks_too(store: Store) -> None:
    pages = tuple(make_page(number) for number in (1, 2, 3))
    session, turn = store.add_user_turn(None, Draft("see", pages))
    assert [p.origin for p in turn.pictures] == [p.origin for p in pages]
    _, edited = store.add_user_turn(session, Draft("again", pages[1:]), parent=turn.parent)
    assert [p.number for p in edited.pictures] == [2, 3]
    assert store.draft_of(session, edited.id).pictures[1].origin == pages[2].origin
    store.save_draft(session, Draft("and", pages[:1]))
    kept = store.draft(session)
    assert kept is not None
    assert kept.pictures[0].origin == pages[0].origin
    forked = store.conversation(store.fork(session))
    assert [p.origin for p in forked.pictures] == [p.origin for p in pages[1:]]
