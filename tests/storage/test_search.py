"""Search finds words in any script; no query is an error."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, event

from assistant.values.conversation import Draft, FinishReason, FoundIn, Role, SearchHit, Turn
from assistant.values.errors import SessionNotFoundError
from storage.store import Store
from tests.storage.postgres_server import PostgresServer
from tests.storage.stored_pictures import make_picture

Answer = Callable[..., Turn]


def marked(hit: SearchHit) -> list[str]:
    return [hit.snippet.text[start:end] for start, end in hit.snippet.marks]


def turns_found(store: Store, words: str) -> set[str | None]:
    return {h.turn_id for h in store.search(words) if h.found_in is FoundIn.TURN}


@pytest.mark.parametrize(
    ("text", "typed", "marks"),
    [
        ("The quick brown fox", "quick", ["quick"]),
        ("The quick brown fox", "QUI", ["quick"]),
        ("The quick brown fox", "fox the", ["The", "fox"]),
        ("The quick brown fox", '"quick brown"', ["quick brown"]),
        ("The quick brown fox", '"quick bro', ["quick brown"]),
        ("The quick brown fox", "bro* fox ", ["brown", "fox"]),
        ("mail me@example.org about v2.1-rc3", "example.org", ["example.org"]),
        ("mail me@example.org about v2.1-rc3", "rc3", ["rc3"]),
        ("snake_case_name", "case", ["case"]),
        ("Die Größe der Straße", "STRASSE", ["Straße"]),
        ("Die Größe der Straße", "grosse", ["Größe"]),
        ("naïve cafe\u0301", "naive café", ["naïve", "cafe\u0301"]),
        ("Zażółć gęślą jaźń", "gesla", ["gęślą"]),
        ("今天天气很好", "天气", ["天气"]),
        ("今天天气很好", "今天天气", ["今天天气"]),
        ("今天天气很好", "好", ["好"]),
        ("我用Python写代码", "python 代码", ["Python", "代码"]),
        ("東京タワーが見えます", "タワー", ["タワー"]),
        ("ガラスの靴", "ｶﾞﾗｽ", ["ガラス"]),
        ("오늘 날씨가 좋네요", "날씨", ["날씨"]),
        ("สวัสดีชาวโลก", "ชาว", ["ชาว"]),
        ("مُحَمَّد يقرأ الكتاب", "محمد", ["مُحَمَّد"]),
        ("أحمد في البيت", "احمد", ["أحمد"]),
        ("שָׁלוֹם עולם", "שלום", ["שָׁלוֹם"]),
        ("हिन्दी में लिखा", "हिन्दी", ["हिन्दी"]),
        ("हिन्दी में लिखा", "हि", ["हिन्दी"]),
        ("Привет, Мир", "мир", ["Мир"]),
        ("Nice👍🏽work 👩‍💻", "👍", ["👍"]),
        ("Nice👍🏽work 👩‍💻", "👩‍💻", ["👩‍💻"]),
        ("ｆｕｌｌ ｗｉｄｔｈ", "width", ["ｗｉｄｔｈ"]),
    ],
)
def test_text_is_found_as_a_person_would_type_it(
    store: Store, text: str, typed: str, marks: list[str]
) -> None:
    session, turn = store.add_user_turn(None, Draft(text))
    store.rename(session, "another title")
    store.add_user_turn(None, Draft("Something else, 其他的, ほかの, другое 🚀"))
    (hit,) = store.search(typed)
    assert (hit.session_id, hit.session_title, hit.turn_id, hit.found_in, hit.role) == (
        session,
        "another title",
        turn.id,
        FoundIn.TURN,
        Role.USER,
    )
    assert marked(hit) == marks
    assert (hit.snippet.text, hit.created) == (text, turn.created)
    assert store.search(typed, session_id=session) == [hit]


@pytest.mark.parametrize(
    "typed",
    ["foxes", "fox ox", '"brown quick"', '"bro fox"', "qui ", "ick", "天气", "🚀", "qui fox"],
)
def test_what_is_not_there_is_not_found(store: Store, typed: str) -> None:
    store.add_user_turn(None, Draft("The quick brown fox"))
    assert store.search(typed) == []


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    store = Store.open(":memory:")
    store.add_user_turn(None, Draft("The quick brown fox 今天天气"))
    yield store
    store.close()


@given(
    st.text(st.one_of(st.characters(), st.sampled_from("\"'*()^:-+{}ANDORNEAR \0天")), max_size=40)
)
@example('"')
@example("fox AND")
@example("NEAR(quick, 3")
@example("words : fox")
@example("^fox")
@example("s1")
@example("*")
@example("' OR 1=1 --")
@example("fox " * 5000)
@example('"' + "fox " * 5000)
@example("天" * 5000)
@example("x" * 50_000)
@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_nothing_that_is_typed_is_an_error(shared: Store, typed: str) -> None:
    for hit in shared.search(typed):
        assert hit.snippet.marks


_LONG_WORD = st.text(st.sampled_from("aé0"), min_size=12, max_size=300)


@given(st.text(max_size=30) | _LONG_WORD)
@example("Donaudampfschifffahrtsgesellschaft")
@example("two " + "x" * 3000 + " words")
@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_piece_between_blanks_finds_its_text(shared: Store, text: str) -> None:
    """Of what can be looked for at all: a text of signs only finds nothing."""
    session, turn = shared.add_user_turn(None, Draft(text))
    for word in turn.text.split():
        for typed in (word, f"{word} ", f'"{word}" '):
            hits = shared.search(typed)
            assert not hits or turn.id in {h.turn_id for h in hits}, typed
            assert hits or not any(c.isalnum() for c in word), typed
    shared.delete(session, for_good=True)


def test_the_index_follows_every_change(store: Store) -> None:
    cat = make_picture("cat", "Übersicht.png")
    session, turn = store.add_user_turn(None, Draft("apple", (cat,)))
    reply = store.start_reply(session, turn.id, model="demo")
    store.checkpoint_reply(reply.id, "banana", (1,))
    assert store.search("banana") == []  # it is still being written
    store.finish_reply(
        reply.id,
        text="banana cherry äpfel",
        token_ids=(1,),
        finish_reason=FinishReason.STOP,
        usage=None,
        timings=None,
    )
    for word in ("banana", "cherry", "apfel"):
        assert [h.turn_id for h in store.search(word)] == [reply.id], word
    (hit,) = store.search("ubersicht")
    assert (hit.found_in, hit.turn_id, hit.session_id) == (FoundIn.PICTURE, turn.id, session)
    store.rename(session, "date")
    assert [(h.found_in, h.turn_id) for h in store.search("date")] == [(FoundIn.TITLE, None)]
    store.rename(session, "fig")
    assert store.search("date") == []
    assert [h.found_in for h in store.search("fig")] == [FoundIn.TITLE]

    store.delete(session)
    for word in ("apple", "banana", "fig", "ubersicht"):
        assert store.search(word) == []
    store.restore(session)
    for word in ("apple", "banana", "fig", "ubersicht"):
        assert len(store.search(word)) == 1
    store.delete(session, for_good=True)
    for word in ("apple", "banana", "fig", "ubersicht"):
        assert store.search(word) == []


def test_an_interrupted_reply_is_found_and_again_after_it_went_on(store: Store) -> None:
    session, turn = store.add_user_turn(None, Draft("x"))
    reply = store.start_reply(session, turn.id, model="demo")
    store.checkpoint_reply(reply.id, "first köder", (1,))
    with store.writing() as db:
        from storage import replies
        from storage.rows import turn_row

        assert replies.interrupt(db, [turn_row(db, reply.id).key]) == 1
    assert turns_found(store, "first koder") == {reply.id}
    store.checkpoint_reply(reply.id, "first köder second", (1, 2))
    assert turns_found(store, "second") == set()
    store.finish_reply(
        reply.id,
        text="first köder second",
        token_ids=(1, 2),
        finish_reason=FinishReason.STOP,
        usage=None,
        timings=None,
    )
    assert turns_found(store, "second koder") == {reply.id}


def test_sqlite_keeps_the_index_itself(store: Store, location: Path) -> None:
    """Triggers do it, whichever program writes."""
    _, turn = store.add_user_turn(None, Draft("apple"))
    with closing(sqlite3.connect(location)) as beside, beside:
        beside.execute("UPDATE turns SET text = 'banana' WHERE id = ?", (turn.id,))
    assert turns_found(store, "apple") == set()
    assert turns_found(store, "banana") == {turn.id}
    with closing(sqlite3.connect(location)) as beside, beside:
        beside.execute("DELETE FROM turns")
        for table in ("turn_search", "title_search", "picture_search"):
            beside.execute(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")
    assert turns_found(store, "banana") == set()


def test_other_branches_and_forks_are_found(store: Store, answer: Answer) -> None:
    session, first = store.add_user_turn(None, Draft("one"))
    old = answer(session, first, "ancient größe")
    answer(session, first, "modern")
    assert turns_found(store, "ancient") == {old.id}
    forked = store.fork(session, old.id)
    assert turns_found(store, "ancient grosse") == {old.id, store.tail(forked, 1)[0].id}


def test_a_search_can_be_kept_to_one_session(store: Store) -> None:
    ids = []
    for n in (1, 11, 2):  # "s1" is not the beginning of "s11"
        session, _ = store.add_user_turn(None, Draft(f"apple {n}", (make_picture("a", "apple"),)))
        ids.append(session)
    for session in ids:
        hits = store.search("apple", session_id=session)
        assert {h.session_id for h in hits} == {session}
        assert {h.found_in for h in hits} == set(FoundIn)
    assert len(store.search("apple")) == 9
    assert len(store.search("apple", limit=4)) == 4
    with pytest.raises(SessionNotFoundError):
        store.search("apple", session_id="nothing")


def test_the_best_come_first(store: Store) -> None:
    filler = "and so on with other words " * 5
    texts = [f"cat once {filler}", f"cat cat cat {filler}", "cats", "cat", f"category {filler}"]
    ids = []
    for text in texts:
        session, turn = store.add_user_turn(None, Draft(text))
        store.rename(session, "no")
        ids.append(turn.id)
    hits = store.search("cat")
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    found = [texts[ids.index(str(h.turn_id))] for h in hits]
    assert found[0] == "cat"
    assert found.index("cats") < found.index(f"category {filler}")
    assert found.index(f"cat cat cat {filler}") < found.index(f"cat once {filler}")
    title, _ = store.add_user_turn(None, Draft("x"))
    store.rename(title, "cat")
    assert (store.search("cat")[0].session_id, store.search("cat")[0].found_in) == (
        title,
        FoundIn.TITLE,
    )


def test_a_snippet_is_one_harmless_line_around_the_match(store: Store) -> None:
    before, after = "some words before\n" * 50, " and more\tafter" * 50
    store.add_user_turn(None, Draft(f"{before}\x1b[31mthe needle\x07{after}"))
    (hit,) = store.search("needle")
    assert marked(hit) == ["needle"]
    assert hit.snippet.text.startswith("…")
    assert hit.snippet.text.endswith("…")
    assert hit.snippet.text.isprintable()
    assert len(hit.snippet.text) < 200


@pytest.mark.parametrize("unit", ["{}" * 40 + " ", "天{}地"])
def test_a_text_of_any_length_is_stored_and_its_beginning_found(store: Store, unit: str) -> None:
    """PostgreSQL's vectors hold a megabyte, words of 2,046 bytes and positions up to 16,383."""
    text = "beginning " + "".join(unit.replace("{}", f"{n:x}") for n in range(10_000))
    text += text[10:] * (220_000 // len(text))
    _, turn = store.add_user_turn(None, Draft(text))
    assert len(turn.text) == len(text)
    assert turns_found(store, "beginning") == {turn.id}


def test_a_search_on_a_server_is_one_way_there_and_back(postgres: PostgresServer) -> None:
    """To begin a transaction and to end it were two more, each a wait for a busy processor."""
    with closing(Store.open(postgres.database())) as store:
        store.add_user_turn(None, Draft("The quick brown fox"))
        states = []

        @event.listens_for(store.engine, "after_cursor_execute")
        def _note(connection: Connection, *_: object) -> None:
            driver = connection.connection.driver_connection
            states.append(driver.info.transaction_status)  # type: ignore[union-attr]

        assert not store.search("absent ")
        assert states == [TransactionStatus.IDLE]
        assert store.search("fox")
