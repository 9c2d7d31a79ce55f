"""Whenever a process is killed: the database is whole, and what was said done is there."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import FinishReason
from assistant.values.errors import SessionNotFoundError
from storage import migrations
from storage.store import Store
from tests.byte_tokenizer import write_tokenizer
from tests.storage import earlier_versions
from tests.storage.victims import Said, Say, Victim, talk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and forks")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the first version."""
    path = tmp_path_factory.mktemp("earlier") / "earlier.db"
    earlier_versions.make(path, "0001")
    return path


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("bytes")
    write_tokenizer(folder, 320)
    return Vocabulary.from_folder(folder)


def check_whole(location: Path) -> None:
    with closing(sqlite3.connect(location)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        for table in ("turn_search", "title_search", "picture_search"):
            connection.execute(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")


_AT_FIRST = {"title": None, "deleted": False, "draft": None}
"""Values of a session before anything changed it; its title is that of its message."""


def check_kept(store: Store, said: list[Said]) -> None:
    """Everything that was said done is there; of a growing reply, all but its last second."""
    last_word = {each.values["turn"]: each.at for each in said if each.what == "grew"}
    texts: dict[str, str] = {}
    states: dict[tuple[str, str], list[object]] = {}
    for each in said:
        match each.what, each.values:
            case "sent", {"session": session, "turn": turn, "parent": parent, "text": text,
                          "pictures": pictures}:  # fmt: skip
                (stored,) = (t for t in store.all_turns(session) if t.id == turn)
                assert (stored.parent, stored.text) == (parent, text)
                assert [p.sha256 for p in stored.pictures] == pictures
                for sha256 in pictures:
                    assert store.picture_data(sha256)
                assert turn in {h.turn_id for h in store.search(f'"{text}" ', session_id=session)}
            case (("answering" | "answered"), {"turn": turn, "text": text}):
                texts[turn] = text
            case "grew", {"turn": turn, "text": text}:
                if each.at < last_word[turn] - 1:
                    texts[turn] = text
            case (("title" | "deleted" | "draft"), {"session": session, "value": value}):
                allowed = states.setdefault((each.what, session), [_AT_FIRST[each.what]])
                if each.done:
                    allowed.clear()
                allowed.append(value)
            case "forked", {"session": session, "texts": copied}:
                assert [t.text for t in store.all_turns(session)][: len(copied)] == copied
            case "forgotten", {"session": session}:
                with pytest.raises(SessionNotFoundError):
                    store.restore(session)
    for turn, text in texts.items():
        (stored,) = (t for t in store.siblings(turn) if t.id == turn)
        assert stored.text.startswith(text)
        assert stored.finish_reason in (FinishReason.STOP, FinishReason.INTERRUPTED)
    for (what, session), values in states.items():
        match what:
            case "title":
                title = store.conversation(session).title
                assert title in values or (None in values and title.startswith("message"))
            case "deleted":
                assert (session not in {s.id for s in store.sessions(10_000)}) in values
            case "draft":
                draft = store.draft(session)
                assert (draft and draft.text) in values
                assert draft is None or draft.pictures[0].data


def kill_at_random_moments(
    folder: Path, earlier: Path, vocabulary: Vocabulary, times: int, seed: int
) -> int:
    """Kill so many processes on one database; how much they had said done by then."""
    location = folder / "phichat.db"
    Store.open(location).close()
    chance, done = random.Random(seed), 0
    for victim in range(times):
        program = talk(location, earlier, vocabulary, seed=victim)
        process = Victim(program, folder / "notes")
        time.sleep(chance.uniform(0.02, 2.5))
        process.kill()
        said = process.said()
        done += sum(each.done for each in said)
        check_whole(location)
        store = Store.open(location)
        # A session that was deleted at that moment is looked into after it is restored.
        hidden = {each.values["session"] for each in said if each.what == "deleted"}
        for session in hidden - {s.id for s in store.sessions(10_000)}:
            assert _may_be_deleted(said, session)
            store.restore(session)
            said = [e for e in said if (e.what, e.values.get("session")) != ("deleted", session)]
        check_kept(store, said)
        store.close()
        for copy in folder.glob("migrated-*.db"):
            migrated = Store.open(copy)
            assert [t.text for t in migrated.all_turns("first")] == list(earlier_versions.TEXTS)
            migrated.close()
            check_whole(copy)
            copy.unlink()
    return done


def _may_be_deleted(said: list[Said], session: str) -> bool:
    last = [e for e in said if e.what == "deleted" and e.values["session"] == session][-2:]
    return any(e.values["value"] for e in last)


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing(
    tmp_path: Path, earlier: Path, vocabulary: Vocabulary
) -> None:
    assert kill_at_random_moments(tmp_path, earlier, vocabulary, times=5, seed=0) > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(
    tmp_path: Path, earlier: Path, vocabulary: Vocabulary
) -> None:
    done = kill_at_random_moments(tmp_path, earlier, vocabulary, times=200, seed=1)
    print(f"{done} operations were said done before 200 kills")
    assert done > 1000


# Migrations


def _dies_after(statements: int, location: Path) -> Callable[[Say], None]:
    def program(say: Say) -> None:
        count = 0

        @event.listens_for(Engine, "after_cursor_execute")
        def _count(*_: object) -> None:
            nonlocal count
            count += 1
            if count == statements:
                os.kill(os.getpid(), signal.SIGKILL)

        Store.open(location).close()
        say("survived")

    return program


def kill_inside_migrations(folder: Path, earlier: Path, step: int) -> int:
    """Kill an upgrade after every ``step``-th statement of it; how often that left the old one."""
    before = _dump(earlier)
    untouched = 0
    for statements in itertools.count(1, step):
        copy = folder / f"after-{statements}.db"
        shutil.copy(earlier, copy)
        said = Victim(_dies_after(statements, copy), folder / "notes").said()
        if _version(copy) == "0001":
            assert _dump(copy) == before
            untouched += 1
        else:
            assert _version(copy) == migrations.NEWEST
        store = Store.open(copy)
        assert [t.text for t in store.all_turns("first")] == list(earlier_versions.TEXTS)
        store.close()
        check_whole(copy)
        if said:
            return untouched
    raise AssertionError


def _version(location: Path) -> str:
    with closing(sqlite3.connect(location)) as connection:
        ((version,),) = connection.execute("SELECT version_num FROM alembic_version")
        return str(version)


def _dump(location: Path) -> list[str]:
    with closing(sqlite3.connect(location)) as connection:
        return list(connection.iterdump())


def test_a_migration_killed_half_way_leaves_the_old_database(tmp_path: Path, earlier: Path) -> None:
    assert kill_inside_migrations(tmp_path, earlier, step=19) >= 3


@pytest.mark.long
def test_a_migration_killed_after_any_statement_leaves_the_old_database(
    tmp_path: Path, earlier: Path
) -> None:
    untouched = kill_inside_migrations(tmp_path, earlier, step=1)
    print(f"{untouched} kills inside a migration")
    assert untouched > 50
