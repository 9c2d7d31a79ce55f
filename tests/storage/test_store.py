"""The store gives back what went into it, also after it was closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Column

from assistant.values.conversation import Draft, FinishReason, Role, Timings, Turn, Usage
from assistant.values.errors import SessionNotFoundError, StorageError
from storage import turns
from storage.store import Store
from tests.storage.stored_pictures import make_picture

Answer = Callable[..., Turn]


def test_a_title_is_no_quotation_as_long_as_there_are_other_words(store: Store) -> None:
    quoted = "> report.pdf, page 1:\n> 12 euros"
    session, _ = store.add_user_turn(None, Draft(f"{quoted}\n\nIs it much?"))
    assert store.conversation(session).title == "Is it much?"
    alone, _ = store.add_user_turn(None, Draft(quoted))
    assert store.conversation(alone).title == "> report.pdf, page 1:"


def test_reading_a_turn_copies_no_columns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alias that is made for each statement copies every column, half of a read's time."""
    _, turn = store.add_user_turn(None, Draft("What is it?"))
    store.turn(turn.id)
    monkeypatch.delattr(Column, "_make_proxy")
    assert store.turn(turn.id) == turn


def test_a_conversation_reads_back_as_written_after_a_restart(store: Store, address: str) -> None:
    cat, dog = make_picture("cat", "cat.png"), make_picture("dog", "dog.jpg")
    session, question = store.add_user_turn(
        None, Draft("Which is the cat?\nSay why.", (cat, dog)), model="demo", system="Be brief."
    )
    reply = store.start_reply(session, question.id, model="demo")
    ended = store.finish_reply(
        reply.id,
        text="The first.\n🐈",
        token_ids=[450, 937, 29889, 131_071, 0],
        finish_reason=FinishReason.LENGTH,
        usage=Usage(1700, 1600, 3, 5),
        timings=Timings(0.5, 0.25, 31.5),
    )
    store.close()

    with_new_eyes = Store.open(address)
    read = with_new_eyes.conversation(session)
    assert read.turns == (question, ended)
    assert (read.title, read.model, read.system) == ("Which is the cat?", "demo", "Be brief.")
    assert ended.token_ids == (450, 937, 29889, 131_071, 0)
    assert (ended.parent, ended.role, ended.finish_reason) == (
        question.id,
        Role.ASSISTANT,
        FinishReason.LENGTH,
    )
    assert (ended.usage, ended.timings) == (Usage(1700, 1600, 3, 5), Timings(0.5, 0.25, 31.5))
    assert [(p.number, p.name, p.sha256) for p in read.pictures] == [
        (1, "cat.png", cat.sha256),
        (2, "dog.jpg", dog.sha256),
    ]
    assert with_new_eyes.picture_data(cat.sha256) == cat.data
    with_new_eyes.close()


def test_moments_are_aware_and_in_utc(store: Store) -> None:
    before = datetime.now(UTC)
    session, turn = store.add_user_turn(None, Draft("Hi"))
    after = datetime.now(UTC)
    for moment in (turn.created, store.conversation(session).updated, store.sessions()[0].created):
        assert moment.utcoffset() == timedelta(0)
        assert before <= moment <= after


@pytest.mark.parametrize(
    ("text", "name", "title"),
    [
        ("  \n\n  What is\tthis?  \nmore", "x.png", "What is this?"),
        ("", "holiday.jpg", "holiday.jpg"),
        (" \n ", None, "New chat"),
        ("\x1b[31mred\x07 \u202etxet", None, "[31mred txet"),
        ("word " * 30, None, "word " * 11 + "word…"),
        ("x" * 100, None, "x" * 59 + "…"),
    ],
)
def test_a_session_gets_its_title_from_what_was_sent(
    store: Store, text: str, name: str | None, title: str
) -> None:
    pictures = () if name is None else (make_picture("a", name),)
    session, _ = store.add_user_turn(None, Draft(text, pictures))
    assert store.conversation(session).title == title


def test_text_that_no_database_takes_is_kept_as_far_as_it_goes(store: Store) -> None:
    _, turn = store.add_user_turn(None, Draft("a\0b \udcff c \ud83d\ude00 <|end|> ' \"; --"))
    assert turn.text == "a\ufffdb \ufffd c 😀 <|end|> ' \"; --"


def test_regenerating_and_editing_add_siblings_and_overwrite_nothing(
    store: Store, answer: Answer
) -> None:
    session, first = store.add_user_turn(None, Draft("one"))
    old = answer(session, first, "old")
    _, second = store.add_user_turn(session, Draft("two"))
    new = answer(session, first, "new")
    _, edited = store.add_user_turn(session, Draft("two, edited"), parent=old.id)
    _, restarted = store.add_user_turn(session, Draft("one, edited"), parent=None)

    assert store.all_turns(session) == (first, old, second, new, edited, restarted)
    assert (second.parent, new.parent, edited.parent) == (old.id, first.id, old.id)
    assert store.conversation(session).turns == (restarted,)
    assert store.conversation(session, head=second.id).turns == (first, old, second)
    assert store.sessions()[0].turns == 1
    store.set_head(session, edited.id)
    assert store.conversation(session).turns == (first, old, edited)
    assert store.sessions()[0].turns == 3


def test_the_numbers_that_pictures_will_get_are_known_before(store: Store, answer: Answer) -> None:
    a, b, c = (make_picture(name) for name in "abc")
    session, first = store.add_user_turn(None, Draft("", (a, b)))
    reply = answer(session, first)
    for pictures, parent in (
        ((c, a), reply.id),  # a follow-up: new ones, though one of them was shown before
        ((b, c, b), None),  # another version of the first message: b was 2, once
        ((), None),
        ((a, a), None),
    ):
        numbers = store.picture_numbers(session, pictures, parent=parent)
        _, turn = store.add_user_turn(session, Draft("", pictures), parent=parent)
        assert numbers == [picture.number for picture in turn.pictures]
    assert store.picture_numbers(session, (c,)) == [8]


def test_a_picture_is_stored_once_and_goes_with_its_last_session(
    store: Store, answer: Answer
) -> None:
    shared, own = make_picture("shared", "a.png"), make_picture("own")
    one, _ = store.add_user_turn(None, Draft("", (shared, own)))
    two, turn = store.add_user_turn(None, Draft("", (make_picture("shared", "b.png"),)))
    assert (turn.pictures[0].name, turn.pictures[0].number) == ("b.png", 1)
    answer(two, turn)
    store.delete(one, for_good=True)
    assert store.picture_data(shared.sha256) == shared.data
    with pytest.raises(StorageError, match="no longer stored"):
        store.picture_data(own.sha256)
    assert len(store.conversation(two).turns) == 2
    store.delete(two, for_good=True)
    with pytest.raises(StorageError, match="no longer stored"):
        store.picture_data(shared.sha256)
    assert store.sessions() == []
    assert store.latest_session() is None


def test_a_session_of_more_turns_than_sqlite_nests_triggers_can_be_deleted(
    store: Store, location: Path
) -> None:
    session, turn = store.add_user_turn(None, Draft("0"))
    with closing(sqlite3.connect(location)) as beside, beside:
        ((key, of_session),) = beside.execute("SELECT key, session_key FROM turns")
        beside.executemany(
            "INSERT INTO turns (key, id, session_key, parent_key, depth, role, text, created) "
            "VALUES (?, ?, ?, ?, ?, 'user', ?, '2026-01-01 00:00:00.000000')",
            [(key + n, f"t{n}", of_session, key + n - 1, n + 1, str(n)) for n in range(1, 2000)],
        )
    store.set_head(session, "t1999")
    turns = store.conversation(session).turns
    assert [int(t.text) for t in turns] == list(range(2000))
    assert turns[0] == turn
    store.delete(session, for_good=True)
    with closing(sqlite3.connect(location)) as beside:
        assert beside.execute("SELECT count(*) FROM turns").fetchone() == (0,)


def test_after_the_clock_was_ahead_the_session_used_last_is_found(
    store: Store, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + timedelta(days=400)
    with monkeypatch.context() as wrong:
        wrong.setattr(turns, "utc_now", lambda: later)
        other, used = (store.add_user_turn(None, Draft(text))[0] for text in ("other", "used"))
    assert store.latest_session() == used
    answer(used, store.conversation(used).turns[-1])  # at the right time
    assert store.latest_session() == used
    new = store.add_user_turn(None, Draft("new"))[0]
    assert store.latest_session() == new
    store.add_user_turn(other, Draft("other again"))
    assert store.latest_session() == other
    assert store.latest_session() == store.sessions()[0].id, "none of the future is left"


def test_pinned_sessions_come_first_and_the_session_used_last_after_them(
    store: Store, answer: Answer
) -> None:
    ids = [store.add_user_turn(None, Draft(f"session {n}"))[0] for n in range(3)]
    assert [s.id for s in store.sessions()] == ids[::-1]
    first = store.conversation(ids[0]).turns[0]
    answer(ids[0], first)
    assert store.latest_session() == ids[0]
    store.rename(ids[1], "renamed")
    store.set_pinned(ids[1], True)
    listed = store.sessions()
    assert [(s.id, s.turns, s.title, s.pinned) for s in listed] == [
        (ids[1], 1, "renamed", True),
        (ids[0], 2, "session 0", False),
        (ids[2], 1, "session 2", False),
    ]
    assert [s.id for s in store.sessions(limit=1, offset=2)] == [ids[2]]


def test_a_typed_beginning_finds_its_session_and_only_when_it_is_the_only_one(
    store: Store,
) -> None:
    ids = [store.add_user_turn(None, Draft("x"))[0] for _ in range(25)]
    for wanted in ids:
        assert store.find_session(wanted) == wanted
        assert store.find_session(f" {wanted.upper()} ") == wanted
        others = [i for i in ids if i != wanted]
        for length in range(1, 8):
            typed = wanted[:length]
            if any(other.startswith(typed) for other in others):
                with pytest.raises(SessionNotFoundError, match="type more"):
                    store.find_session(typed)
            else:
                assert store.find_session(typed) == wanted
    # 0 and 1 may be read as letters
    with_digit = next((i for i in ids if "0" in i or "1" in i), None)
    if with_digit is not None:
        assert store.find_session(with_digit.replace("0", "O").replace("1", "l")) == with_digit


@pytest.mark.parametrize(
    "typed", ["", " ", "%", "_", "zzzzzzzzz", "\x1b[2J", "' OR 1=1", "\udcff", "\0"]
)
def test_what_is_no_beginning_of_an_id_is_not_found(store: Store, typed: str) -> None:
    store.add_user_turn(None, Draft("x"))
    with pytest.raises(SessionNotFoundError) as caught:
        store.find_session(typed)
    assert caught.value.code == "session"
    assert str(caught.value).isprintable()


def test_a_list_may_be_asked_for_more_than_there_can_be(store: Store) -> None:
    session, _ = store.add_user_turn(None, Draft("x"))
    assert [one.id for one in store.sessions(limit=10**30)] == [session]
    assert store.sessions(offset=10**30) == []


def test_renaming_keeps_titles_on_one_visible_line(store: Store) -> None:
    session, _ = store.add_user_turn(None, Draft("x"))
    store.rename(session, "  My \x1b]0;evil\x07 cats\n")
    assert store.conversation(session).title == "My ]0;evil cats"
    with pytest.raises(StorageError, match="visible"):
        store.rename(session, "\x07\n")


def test_ids_of_nothing_and_of_other_sessions_are_refused(store: Store) -> None:
    session, turn = store.add_user_turn(None, Draft("x"))
    other, _ = store.add_user_turn(None, Draft("y"))
    for attempt in (
        lambda: store.conversation("nothing"),
        lambda: store.all_turns("nothing"),
        lambda: store.delete("nothing"),
        lambda: store.rename("nothing", "x"),
        lambda: store.set_pinned("nothing", True),
        lambda: store.add_user_turn("nothing", Draft("x")),
        lambda: store.start_reply(session, "nothing", model="demo"),
        lambda: store.start_reply(other, turn.id, model="demo"),
        lambda: store.set_head(other, turn.id),
        lambda: store.conversation(other, head=turn.id),
        lambda: store.add_user_turn(other, Draft("x"), parent=turn.id),
        lambda: store.checkpoint_reply("nothing", "x", ()),
    ):
        with pytest.raises(SessionNotFoundError):
            attempt()
    assert [len(store.all_turns(s)) for s in (session, other)] == [1, 1]


def test_a_checkpoint_is_kept_and_a_late_one_changes_nothing(store: Store) -> None:
    session, turn = store.add_user_turn(None, Draft("x"))
    reply = store.start_reply(session, turn.id, model="demo")
    assert (reply.text, reply.finish_reason, reply.token_ids) == ("", None, None)
    store.checkpoint_reply(reply.id, "half", (1, 2))
    half = store.conversation(session).turns[-1]
    assert (half.text, half.token_ids, half.finish_reason) == ("half", (1, 2), None)
    ended = store.finish_reply(
        reply.id,
        text="whole",
        token_ids=(1, 2, 3),
        finish_reason=FinishReason.STOPPED,
        usage=None,
        timings=None,
    )
    store.checkpoint_reply(reply.id, "late", (9,))
    again = store.finish_reply(
        reply.id,
        text="",
        token_ids=None,
        finish_reason=FinishReason.ERROR,
        usage=None,
        timings=None,
    )
    assert again == ended == store.conversation(session).turns[-1]


def test_a_message_that_fails_half_way_leaves_nothing(store: Store) -> None:
    broken = make_picture("x")
    object.__setattr__(broken, "media_type", None)  # the table refuses it
    with pytest.raises(Exception, match=r"(?i)not.null"):
        store.add_user_turn(None, Draft("lost?", (make_picture("fine"), broken)))
    assert store.sessions() == []
    with pytest.raises(StorageError):
        store.picture_data(make_picture("fine").sha256)


def test_an_in_memory_store_works_from_several_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    store = Store.open(":memory:")
    session, _ = store.add_user_turn(None, Draft("start"))

    def work(number: int) -> None:
        store.add_user_turn(session, Draft(str(number)))
        store.conversation(session)
        store.sessions()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(20)))
    assert sorted(t.text for t in store.all_turns(session)) == sorted(
        ["start", *map(str, range(20))]
    )
    store.close()


def test_own_changes_are_noticed_too(store: Store) -> None:
    with closing(Store.open(":memory:")) as in_memory:
        for each in (store, in_memory):
            session, _ = each.add_user_turn(None, Draft("x"))
            before = each.changes()
            each.conversation(session)
            each.search("x")
            assert each.changes() == before
            each.rename(session, "another")
            assert each.changes() != before
