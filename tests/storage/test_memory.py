"""Marks, choices, drafts, deletion, restoring and forks in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from assistant.values.conversation import Draft, FinishReason, Role, Summary, Turn, TurnKind
from assistant.values.errors import SessionNotFoundError, StorageError
from assistant.values.sampling import Parameters
from storage.store import Store
from tests.storage.stored_pictures import make_picture

Answer = Callable[..., Turn]

PARAMETERS = Parameters(temperature=0.5, top_k=40, seed=7, max_new_tokens=20, stop=("\n", "END"))


def test_marks_of_turns_and_pictures_are_kept(store: Store) -> None:
    cat = replace(make_picture("cat"), num_crops=4)
    session, turn = store.add_user_turn(None, Draft("Hi", (cat, make_picture("dog"))))
    assert [p.num_crops for p in turn.pictures] == [4, None]
    store.set_turn_pinned(turn.id, True)
    store.set_turn_excluded(turn.id, True)
    store.set_picture_crops(session, 1, None)
    store.set_picture_crops(session, 2, 16)
    store.set_picture_pinned(session, 2, True)
    (marked,) = store.conversation(session).turns
    assert (marked.pinned, marked.excluded) == (True, True)
    assert [(p.num_crops, p.pinned) for p in marked.pictures] == [(None, False), (16, True)]
    store.set_turn_pinned(turn.id, False)
    store.set_turn_excluded(turn.id, False)
    store.set_picture_crops(session, 1, 4)
    store.set_picture_crops(session, 2, None)
    store.set_picture_pinned(session, 2, False)
    assert store.conversation(session).turns == (turn,)
    with pytest.raises(StorageError, match="no picture 3"):
        store.set_picture_pinned(session, 3, True)


def test_an_edited_message_keeps_its_pictures_crops_unless_others_are_chosen(store: Store) -> None:
    cat = make_picture("cat")
    session, _ = store.add_user_turn(None, Draft("one", (replace(cat, num_crops=4),)))
    _, same = store.add_user_turn(session, Draft("two", (cat,)), parent=None)
    assert [(p.number, p.num_crops) for p in same.pictures] == [(1, 4)]
    chosen = replace(cat, num_crops=16)
    _, other = store.add_user_turn(session, Draft("three", (chosen,)), parent=None)
    assert [(p.number, p.num_crops) for p in other.pictures] == [(1, 16)]


def test_a_recalled_turn_is_one_of_the_user_that_awaits_no_reply(
    store: Store, answer: Answer
) -> None:
    session, turn = store.add_user_turn(None, Draft("Hi"))
    reply = answer(session, turn)
    recalled = store.add_recall_turn(session, "> Hi\n> Yes.")
    assert (recalled.kind, recalled.role, recalled.parent) == (
        TurnKind.RECALL,
        Role.USER,
        reply.id,
    )
    assert store.conversation(session).turns[-1] == recalled
    assert store.recover() == 0


def test_a_picture_has_a_thumbnail_when_it_came_with_one(store: Store) -> None:
    plain, small = make_picture("cat"), b"a small cat"
    store.add_user_turn(None, Draft("", (plain,)))
    assert store.thumbnail(plain.sha256) is None
    store.add_user_turn(None, Draft("", (replace(plain, thumbnail=small),)))
    assert store.thumbnail(plain.sha256) == small
    assert store.thumbnail("0" * 64) is None
    for summary in store.sessions():
        store.delete(summary.id, for_good=True)
    assert store.thumbnail(plain.sha256) is None


def test_a_session_keeps_what_was_chosen_for_it(store: Store) -> None:
    session, turn = store.add_user_turn(None, Draft("Hi"), model="demo", system="Be brief.")
    assert store.conversation(session).parameters == Parameters()
    summary = Summary("They \0 met.", turn.id, edited=True)
    store.set_parameters(session, PARAMETERS)
    store.set_summary(session, summary)
    store.set_model(session, "other")
    store.set_system(session, None)
    read = store.conversation(session)
    assert read.parameters == PARAMETERS
    assert read.summary == replace(summary, text="They \ufffd met.")
    assert (read.model, read.system) == ("other", None)
    store.set_parameters(session, Parameters())
    store.set_summary(session, None)
    read = store.conversation(session)
    assert (read.parameters, read.summary) == (Parameters(), None)

    _, stranger = store.add_user_turn(None, Draft("Elsewhere"))
    with pytest.raises(SessionNotFoundError):
        store.set_summary(session, Summary("x", stranger.id))


def test_a_reply_remembers_what_it_was_generated_with(store: Store) -> None:
    session, turn = store.add_user_turn(None, Draft("Hi"))
    reply = store.start_reply(session, turn.id, model="demo", parameters=PARAMETERS)
    assert reply.parameters == PARAMETERS
    store.set_parameters(session, Parameters(seed=8))
    assert store.conversation(session).turns[-1].parameters == PARAMETERS


# Drafts


@pytest.fixture(params=["of a session", "of a new session"])
def place(request: pytest.FixtureRequest, store: Store) -> str | None:
    return store.add_user_turn(None, Draft("Hi"))[0] if request.param == "of a session" else None


def test_a_draft_is_there_until_it_is_dropped(store: Store, place: str | None) -> None:
    assert store.draft(place) is None
    cat = replace(make_picture("cat"), num_crops=4, thumbnail=b"small")
    first = Draft("What is", (cat, make_picture("dog"), cat))
    store.save_draft(place, first)
    assert store.draft(place) == first
    second = Draft("What is this?", (cat,))
    store.save_draft(place, second)
    assert store.draft(place) == second
    assert store.picture_data(cat.sha256) == cat.data
    with pytest.raises(StorageError, match="no longer stored"):
        store.picture_data(make_picture("dog").sha256)
    store.drop_draft(place)
    store.drop_draft(place)
    assert store.draft(place) is None
    with pytest.raises(StorageError, match="no longer stored"):
        store.picture_data(cat.sha256)
    store.save_draft(place, second)
    store.save_draft(place, Draft(""))
    assert store.draft(place) is None


def test_sending_takes_the_draft_with_it_when_asked_to(store: Store, place: str | None) -> None:
    draft = Draft("What is this?", (make_picture("cat"),))
    store.save_draft(place, draft)
    store.add_user_turn(place, Draft("from a script"))
    assert store.draft(place) == draft
    session, turn = store.add_user_turn(place, draft, drop_draft=True)
    assert store.draft(place) is None
    assert store.picture_data(turn.pictures[0].sha256) == draft.pictures[0].data
    store.save_draft(session, draft)
    store.drop_draft(session)
    assert store.picture_data(turn.pictures[0].sha256) == draft.pictures[0].data


def test_drafts_of_sessions_are_their_own(store: Store) -> None:
    one, _ = store.add_user_turn(None, Draft("1"))
    two, _ = store.add_user_turn(None, Draft("2"))
    for place in (one, two, None):
        store.save_draft(place, Draft(f"of {place}"))
    assert [store.draft(p) for p in (one, two, None)] == [
        Draft(f"of {p}") for p in (one, two, None)
    ]
    store.save_draft(one, Draft("", (make_picture("cat"),)))
    store.delete(one, for_good=True)
    with pytest.raises(StorageError, match="no longer stored"):
        store.picture_data(make_picture("cat").sha256)
    with pytest.raises(SessionNotFoundError):
        store.draft(one)


# Deleting


def test_a_deleted_session_is_nowhere_and_comes_back_whole(store: Store, answer: Answer) -> None:
    cat = make_picture("cat")
    kept, _ = store.add_user_turn(None, Draft("kept"))
    gone, turn = store.add_user_turn(None, Draft("gone", (cat,)))
    answer(gone, turn)
    store.save_draft(gone, Draft("more"))
    before = store.conversation(gone)
    store.delete(gone)

    assert [s.id for s in store.sessions()] == [kept]
    assert store.latest_session() == kept
    for attempt in (
        lambda: store.find_session(gone),
        lambda: store.conversation(gone),
        lambda: store.tail(gone, 5),
        lambda: store.add_user_turn(gone, Draft("x")),
        lambda: store.rename(gone, "x"),
        lambda: store.delete(gone),
        lambda: store.draft(gone),
        lambda: store.fork(gone),
    ):
        with pytest.raises(SessionNotFoundError):
            attempt()
    assert store.purge_deleted(timedelta(hours=1)) == 0

    store.restore(gone)
    assert store.conversation(gone) == before
    assert store.latest_session() == store.find_session(gone) == gone
    assert store.draft(gone) == Draft("more")
    assert store.picture_data(cat.sha256) == cat.data
    assert store.purge_deleted(timedelta(0)) == 0


@pytest.mark.parametrize("how", ["purged", "for good", "for good after all"])
def test_what_is_deleted_for_good_does_not_come_back(store: Store, how: str) -> None:
    cat = make_picture("cat")
    session, _ = store.add_user_turn(None, Draft("gone", (cat,)))
    if how != "for good":
        store.delete(session)
    if how == "purged":
        assert store.purge_deleted(timedelta(0)) == 1
    else:
        store.delete(session, for_good=True)
    with pytest.raises(SessionNotFoundError):
        store.restore(session)
    with pytest.raises(StorageError, match="no longer stored"):
        store.picture_data(cat.sha256)


# Branches


def test_alternatives_are_found_and_lead_to_their_newest_end(store: Store, answer: Answer) -> None:
    session, first = store.add_user_turn(None, Draft("one"))
    old = answer(session, first, "old")
    _, second = store.add_user_turn(session, Draft("two"))
    end = answer(session, second, "end")
    new = answer(session, first, "new")
    _, edited = store.add_user_turn(session, Draft("two, edited"), parent=old.id)
    _, restarted = store.add_user_turn(session, Draft("one, edited"), parent=None)
    store.add_user_turn(None, Draft("another session"))

    assert store.siblings(first.id) == store.siblings(restarted.id) == (first, restarted)
    assert store.siblings(old.id) == (old, new)
    assert store.siblings(edited.id) == (second, edited)
    assert store.siblings(end.id) == (end,)
    assert store.newest_leaf(second.id) == end.id
    assert store.newest_leaf(old.id) == edited.id
    assert store.newest_leaf(first.id) == edited.id
    assert store.newest_leaf(new.id) == new.id


def test_a_tail_is_the_end_of_the_branch(store: Store, answer: Answer) -> None:
    session, turn = store.add_user_turn(None, Draft("0"))
    for n in range(1, 4):
        reply = answer(session, turn, f"{n}")
        _, turn = store.add_user_turn(session, Draft(f"after {n}", (make_picture(str(n)),)))
    store.add_user_turn(session, Draft("beside"), parent=reply.parent)
    store.set_head(session, turn.id)
    whole = store.conversation(session).turns
    assert len(whole) == 7
    for count in (0, 1, 3, 7, 9):
        assert store.tail(session, count) == whole[len(whole) - min(count, 7) :]


def test_a_fork_is_the_branch_again_with_ids_of_its_own(store: Store, answer: Answer) -> None:
    pictures = (make_picture("cat"), make_picture("dog"))
    session, first = store.add_user_turn(None, Draft("one", pictures), model="demo", system="Be.")
    reply = answer(session, first, "old")
    _, second = store.add_user_turn(session, Draft("two", (make_picture("cow"),)))
    store.add_user_turn(
        session, Draft("two, edited", (make_picture("hen"), pictures[0])), parent=reply.id
    )
    store.set_parameters(session, PARAMETERS)
    store.set_turn_pinned(first.id, True)
    store.set_picture_crops(session, 4, 4)
    store.set_summary(session, Summary("so far", reply.id))

    forked = store.fork(session)
    original, copy = store.conversation(session), store.conversation(forked)
    assert _without_ids(copy.turns) == _without_ids(original.turns)
    assert [p.number for p in copy.pictures] == [1, 2, 4, 5]
    assert not {t.id for t in copy.turns} & {t.id for t in store.all_turns(session)}
    assert [t.parent for t in copy.turns] == [None, *(t.id for t in copy.turns[:-1])]
    assert (copy.title, copy.model, copy.system) == ("one (fork)", "demo", "Be.")
    assert copy.parameters == PARAMETERS
    assert copy.summary == Summary("so far", copy.turns[1].id)
    assert store.sessions()[0].turns == 3

    # The two go on apart.
    _, more = store.add_user_turn(forked, Draft("three", (make_picture("bee"),)))
    assert [p.number for p in more.pictures] == [6]
    assert store.conversation(session) == original
    store.delete(session, for_good=True)
    assert store.conversation(forked).turns[:-1] == copy.turns
    assert store.picture_data(pictures[0].sha256) == pictures[0].data

    earlier = store.fork(forked, copy.turns[0].id)
    read = store.conversation(earlier)
    assert _without_ids(read.turns) == _without_ids(original.turns[:1])
    assert (read.title, read.summary) == ("one (fork)", None)
    with pytest.raises(SessionNotFoundError):
        store.fork(earlier, second.id)


def test_a_reply_in_hand_is_interrupted_in_the_fork_only(store: Store) -> None:
    session, turn = store.add_user_turn(None, Draft("Hi"))
    reply = store.start_reply(session, turn.id, model="demo")
    store.checkpoint_reply(reply.id, "half", (1, 2))
    copied = store.conversation(store.fork(session)).turns[-1]
    assert (copied.text, copied.finish_reason) == ("half", FinishReason.INTERRUPTED)
    assert store.conversation(session).turns[-1].finish_reason is None


def _without_ids(turns: tuple[Turn, ...]) -> list[Turn]:
    return [replace(turn, id="", parent=None) for turn in turns]
