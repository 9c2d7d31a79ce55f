"""Conversations of ``llm``: its tables as versions 0.13, 0.17, 0.24 and 0.32 made them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.values.conversation import (
    Arrival,
    Draft,
    FinishReason,
    Imported,
    Outcome,
    PictureFile,
    Role,
    Usage,
)
from assistant.values.errors import PictureError, StorageError
from storage.store import Store
from tests.storage.llm_tables import BOTH, LLM_0_13, LLM_0_17, LLM_0_24, LLM_0_32
from tests.storage.stored_pictures import make_picture


def open_picture(source: bytes | Path, *, name: str | None = None) -> PictureFile:
    """Opens what :func:`make_picture` makes, from a path too."""
    if isinstance(source, bytes):
        return make_picture(source.decode(), name or "pasted.png")
    try:
        return make_picture(source.read_text(), source.name)
    except OSError as error:
        raise PictureError(f"There is no file {source}.") from error


@pytest.fixture
def logs(tmp_path: Path) -> Callable[..., Path]:
    """Write a logs.db, or more into it."""
    (tmp_path / "dog.png").write_text("dog")
    path = tmp_path / "logs.db"

    def write(*scripts: str) -> Path:
        with closing(sqlite3.connect(path)) as connection:
            for script in scripts:
                connection.executescript(script.replace("{folder}", str(tmp_path)))
        return path

    return write


def imported(store: Store, path: Path) -> Imported:
    return store.import_file(path, open_picture)


def by_title(done: Imported) -> dict[str, Arrival]:
    return {one.title: one for one in done.sessions}


def test_the_oldest_tables(store: Store, logs: Callable[..., Path]) -> None:
    (arrival,) = imported(store, logs(LLM_0_13)).sessions
    assert (arrival.title, arrival.outcome) == ("Greetings", Outcome.NEW)
    talk = store.conversation(arrival.id)
    assert (talk.system, talk.model) == ("Be brief.", "gpt-4o")
    assert talk.created == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert talk.updated == datetime(2024, 1, 2, 3, 5, tzinfo=UTC)
    assert [(turn.role, turn.text) for turn in talk.turns] == [
        (Role.USER, "Hello"),
        (Role.ASSISTANT, "Hi."),
        (Role.USER, "Bye"),
        (Role.ASSISTANT, "So long."),
    ]
    assert talk.turns[1].model == "gpt-4o"
    assert talk.turns[1].finish_reason is FinishReason.STOP
    assert talk.turns[1].token_ids is None, "another model's ids would be other words"


def test_attachments_that_are_pictures_come_along(store: Store, logs: Callable[..., Path]) -> None:
    done = imported(store, logs(LLM_0_13, LLM_0_17))
    question, reply = store.conversation(by_title(done)["What is this?"].id).turns
    assert [(p.number, p.name) for p in question.pictures] == [
        (1, "attachment.png"),
        (2, "dog.png"),
    ]
    assert [store.picture_data(p.sha256) for p in question.pictures] == [b"cat", b"dog"]
    assert reply.usage == Usage(prompt_tokens=300, completion_tokens=3)
    assert done.left_out == (
        "Left out: pictures that are only addresses, which are never fetched (1).",
        "Left out: attachments that are no longer where they were, or are no pictures (1).",
        "Left out: attachments that are no pictures (1).",
    )


def test_fragments_and_tools(store: Store, logs: Callable[..., Path]) -> None:
    done = imported(store, logs(LLM_0_13, LLM_0_17, LLM_0_24))
    talk = store.conversation(by_title(done)["Novel"].id)
    assert talk.system == "Chapter 1\n\nGuess."
    assert [turn.text for turn in talk.turns] == [
        "Chapter 1\nChapter 2\nWho did it?",
        "The gardener.",
    ]
    assert "Left out: calls of tools (1)." in done.left_out


def test_the_message_store(store: Store, logs: Callable[..., Path]) -> None:
    done = imported(store, logs(LLM_0_13, LLM_0_17, LLM_0_24, LLM_0_32))
    session = by_title(done)["In threads"].id
    talk = store.conversation(session)
    assert talk.system == "Be kind."
    assert talk.model == "gpt-6"
    assert [turn.text for turn in talk.turns] == ["Chapter 1\nAnd?", "A cat.", "Really?", "No."]
    assert [turn.text for turn in store.all_turns(session)][2:4] == ["Sure?", "Yes."]
    assert [p.number for p in talk.turns[0].pictures] == [1]
    assert talk.turns[1].created == datetime(2026, 8, 1, 2, tzinfo=UTC)
    assert talk.turns[3].usage == Usage(prompt_tokens=9, completion_tokens=4)
    assert "Left out: calls of tools (2)." in done.left_out


def test_a_second_import_doubles_nothing(store: Store, logs: Callable[..., Path]) -> None:
    path = logs(LLM_0_13, LLM_0_17, LLM_0_24, LLM_0_32)
    first = imported(store, path)
    before = "".join(store.export())
    second = imported(store, path)
    assert [one.id for one in second.sessions] == [one.id for one in first.sessions]
    assert {one.outcome for one in second.sessions} == {Outcome.UNCHANGED}
    assert "".join(store.export()) == before


def test_what_llm_went_on_with_comes_in_the_second_time(
    store: Store, logs: Callable[..., Path]
) -> None:
    session = by_title(imported(store, logs(LLM_0_13, LLM_0_17, LLM_0_24, LLM_0_32)))[
        "What is this?"
    ].id
    done = imported(store, logs(BOTH))
    extended = [one.id for one in done.sessions if one.outcome is Outcome.EXTENDED]
    assert extended == [session]
    talk = store.conversation(session)
    assert [turn.text for turn in talk.turns] == ["What is this?", "A cat.", "And now?", "Still."]
    assert len(store.all_turns(session)) == 4
    assert [p.number for p in talk.pictures] == [1, 2]
    assert talk.updated == datetime(2026, 9, 1, tzinfo=UTC)


def test_what_was_said_here_meanwhile_stays_the_current_branch(
    store: Store, logs: Callable[..., Path]
) -> None:
    session = by_title(imported(store, logs(LLM_0_13, LLM_0_17, LLM_0_24, LLM_0_32)))[
        "What is this?"
    ].id
    store.add_user_turn(session, Draft("Said here"))
    imported(store, logs(BOTH))
    assert store.conversation(session).turns[-1].text == "Said here"
    assert [turn.text for turn in store.all_turns(session)][3:] == ["And now?", "Still."]


def test_a_conversation_that_was_deleted_here_stays_deleted(
    store: Store, logs: Callable[..., Path]
) -> None:
    path = logs(LLM_0_13)
    (arrival,) = imported(store, path).sessions
    store.delete(arrival.id)
    again = imported(store, path)
    assert again == Imported((), ("Left out: chats that were deleted here (1).",))
    assert store.sessions() == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("CREATE TABLE x (y)", "neither a phichat export nor the logs database of llm"),
        ("CREATE TABLE conversations (x); CREATE TABLE responses (y);", "can't be read as"),
        (
            "CREATE TABLE conversations (id); CREATE TABLE responses (id, datetime_utc);",
            None,
        ),
        (
            "CREATE TABLE conversations (id, name, model);"
            "CREATE TABLE responses (id, datetime_utc); INSERT INTO responses VALUES (1, 2);",
            "can't be read as",
        ),
    ],
)
def test_other_databases_are_refused(
    store: Store, logs: Callable[..., Path], script: str, words: str | None
) -> None:
    path = logs(script)
    if words is None:
        assert imported(store, path) == Imported(())
        return
    with pytest.raises(StorageError, match=words) as refused:
        imported(store, path)
    assert str(refused.value).startswith("logs.db ")


def test_a_phichat_database_is_not_taken_for_an_export(store: Store, location: Path) -> None:
    with pytest.raises(StorageError, match="is a phichat database, not an export"):
        imported(store, location)


def test_hostile_rows_are_taken_as_far_as_they_make_sense(
    store: Store, logs: Callable[..., Path]
) -> None:
    path = logs(
        LLM_0_13,
        LLM_0_17,
        LLM_0_24,
        LLM_0_32,
        """
        UPDATE messages SET parent_hash = 'b2:9' WHERE hash = 'b2:1';
        UPDATE parts SET payload = '[[' WHERE id = 2;
        UPDATE turns SET input_tokens = 1e300, output_tokens = -5, datetime_utc = 'yesterday';
        UPDATE responses SET datetime_utc = x'00', response = x'ff', prompt = 5 WHERE id = 'r1';
        UPDATE responses SET prompt = 'a' || char(0) || 'b' WHERE id = 'r2';
        """,
    )
    imported(store, path)
    texts = {turn.text for one in store.sessions() for turn in store.all_turns(one.id)}
    assert "a\ufffdb" in texts
    assert "No." in texts
