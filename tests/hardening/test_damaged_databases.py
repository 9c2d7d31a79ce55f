"""Damaged databases: what can't be read is one marked entry, and everything else works.

A stored database is damaged the way disks, other programs and interrupted copies damage one: cells
of a wrong type or without meaning, rows that are gone, references that point nowhere or in
circles, pages of rubbish, a file that ends early. Every operation either works or raises one of
our sentences.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from assistant.values.conversation import (
    Draft,
    ExportFormat,
    FinishReason,
    Summary,
    Timings,
    Usage,
)
from assistant.values.errors import PhichatError, StorageError
from assistant.values.sampling import Parameters
from storage.exchange import document
from storage.inspection import examine
from storage.store import Store
from tests.storage.stored_pictures import make_picture

Damage = Callable[[sqlite3.Connection, random.Random], None]

_RUBBISH: tuple[object, ...] = (
    None, "", "not a date", "2026-13-45 99:99:99", "{", "[1, 2", "[]", "{}", '"text"', "null",
    '{"text": 5}', '{"temperature": "hot", "max_new_tokens": []}', b"", b"\x00", b"\x07\x01\x02",
    b"\x02\x01", b"\xff\xfe\x80", -1, 0, 7, 2**62, 3.5, float("inf"), "assistants", "é" * 300,
)  # fmt: skip
_TABLES = ("sessions", "turns", "pictures", "thumbnails", "session_pictures", "turn_pictures",
           "drafts", "draft_pictures")  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with branches, pictures, drafts, a summary, and a deleted chat."""
    path = tmp_path_factory.mktemp("sound") / "phichat.db"
    store = Store.open(path)
    for n in range(4):
        pictures = (make_picture(f"red {n}"), make_picture("shared", name="möve.png"))
        session, question = store.add_user_turn(None, Draft(f"What is {n}?", pictures))
        for version in range(2):
            reply = store.start_reply(session, question.id, model="demo", parameters=Parameters())
            store.finish_reply(
                reply.id,
                text=f"It is {version} 今天.",
                token_ids=[5, 6, 7],
                finish_reason=FinishReason.STOP,
                usage=Usage(10, 5, 0, 3),
                timings=Timings(0.1, 0.2, 30.0),
            )
        _, later = store.add_user_turn(session, Draft("And then?"))
        store.set_summary(session, Summary("They spoke.", later.id))
        store.set_parameters(session, Parameters(temperature=0.5))
        store.save_draft(session, Draft("half a thought", (make_picture(f"draft {n}"),)))
    store.save_draft(None, Draft("for a new chat"))
    store.delete(store.fork(session))
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode = DELETE")
    return path


def _cells(db: sqlite3.Connection, dice: random.Random) -> None:
    table = dice.choice(_TABLES)
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    for column in dice.sample(columns, dice.randint(1, min(4, len(columns)))):
        some = "" if dice.random() < 0.3 else "WHERE rowid % 2 = 0"
        _try(db, f"UPDATE {table} SET {column} = ? {some}", dice.choice(_RUBBISH))


def _rows(db: sqlite3.Connection, dice: random.Random) -> None:
    _try(db, f"DELETE FROM {dice.choice(_TABLES)} WHERE rowid % ? = 0", dice.randint(1, 3))


def _references(db: sqlite3.Connection, dice: random.Random) -> None:
    column = dice.choice(["parent_key", "session_key", "depth"])
    _try(db, f"UPDATE turns SET {column} = (key * ?) % 17 + 1", dice.randint(1, 5))
    _try(db, "UPDATE sessions SET head_key = ?", dice.randint(1, 40))


def _index(db: sqlite3.Connection, dice: random.Random) -> None:
    found = db.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    kind, name = dice.choice(sorted(found.fetchall()))
    _try(db, f"DROP {kind} {name}")


def _try(db: sqlite3.Connection, statement: str, *values: object) -> None:
    try:
        db.execute(statement, values)
        db.commit()
    except sqlite3.Error:
        db.rollback()  # a key that must be unique: this damage can't happen


def _bytes(path: Path, dice: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    if dice.random() < 0.3:
        del raw[dice.randrange(len(raw)) :]
    for _ in range(dice.randint(1, 6)):
        if raw:
            at = dice.randrange(len(raw))
            raw[at : at + dice.choice((1, 8, 512))] = dice.randbytes(dice.choice((1, 8, 512)))
    path.write_bytes(bytes(raw))


def damage(path: Path, seed: int) -> None:
    """Damage a database in one to three ways that ``seed`` draws."""
    dice = random.Random(seed)
    if dice.random() < 0.25:
        _bytes(path, dice)
        return
    ways: list[Damage] = [_cells, _cells, _cells, _rows, _references, _index]
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        for way in dice.choices(ways, k=dice.randint(1, 3)):
            way(db, dice)


def operations(store: Store, tmp: Path) -> Iterator[Callable[[], object]]:
    """Every operation on everything that the store lists."""
    listed: list[str] = ["nothing-has-this-id"]
    turns: list[str] = ["nor-this"]

    def read_list() -> None:
        found = store.sessions()
        listed.extend(session.id for session in found)
        for session in found:
            session.updated.astimezone()
            assert isinstance(session.title, str)

    yield read_list
    yield store.latest_session
    yield store.models
    yield store.recover
    yield lambda: store.draft(None)
    for words in ("what", "今天", '"and then"', "möve", "red*"):
        yield lambda words=words: [hit.created.astimezone() for hit in store.search(words)]
    for session in listed:
        yield lambda session=session: store.find_session(session)
        yield lambda session=session: turns.extend(
            turn.id for turn in store.conversation(session).turns
        )
        yield lambda session=session: store.all_turns(session)
        yield lambda session=session: store.tail(session, 3)
        yield lambda session=session: store.draft(session)
        yield lambda session=session: store.search("what", session_id=session)
        yield lambda session=session: [
            store.picture_data(picture.sha256) for picture in store.conversation(session).pictures
        ]
        yield lambda session=session: [
            store.thumbnail(picture.sha256) for picture in store.conversation(session).pictures
        ]
        for form in ExportFormat:
            yield lambda session=session, form=form: list(store.export([session], form))
        yield lambda session=session: store.add_user_turn(session, Draft("Go on?"))
        yield lambda session=session: store.rename(session, "Another title")
        yield lambda session=session: store.save_draft(session, Draft("new words"))
        yield lambda session=session: store.fork(session)
        yield lambda session=session: store.set_picture_pinned(session, 1, True)
    for turn in turns[:12]:
        yield lambda turn=turn: store.turn(turn)
        yield lambda turn=turn: store.siblings(turn)
        yield lambda turn=turn: store.newest_leaf(turn)
        yield lambda turn=turn: store.set_turn_pinned(turn, True)
        yield lambda turn=turn: store.reopen_reply(turn)
        yield lambda turn=turn: store.checkpoint_reply(turn, "half", [1])
    for session in listed:
        yield lambda session=session: store.delete(session)
        yield lambda session=session: store.restore(session)
        yield lambda session=session: store.delete(session, for_good=True)
    yield lambda: store.export_to(tmp / "out.json", listed[1:2])
    yield lambda: store.backup(tmp / "backup.db")


def attack(sound: Path, tmp: Path, seed: int) -> tuple[int, list[str]]:
    """Damage a copy and try everything; returns the count and the raw errors."""
    folder = tmp / str(seed)
    folder.mkdir()
    path = Path(shutil.copy(sound, folder / "phichat.db"))
    damage(path, seed)
    done, raw = 0, []

    def attempt(operation: Callable[[], object]) -> object:
        nonlocal done
        done += 1
        try:
            return operation()
        except PhichatError:
            pass  # one of our sentences
        except Exception as error:
            raw.append(f"seed {seed}, operation {done}: {type(error).__name__}: {error}")
        return None

    attempt(lambda: examine(path))
    store = attempt(lambda: Store.open(path))
    if isinstance(store, Store):
        for operation in operations(store, folder):
            attempt(operation)
        store.close()
    shutil.rmtree(folder)
    return done, raw


def test_damage_raises_only_sentences(sound: Path, tmp_path: Path) -> None:
    found = [attack(sound, tmp_path, seed) for seed in range(6)]
    assert sum(done for done, _ in found) >= 300
    assert not [error for _, raw in found for error in raw]


def test_a_damaged_schema_that_is_quoted_in_an_error(sound: Path, tmp_path: Path) -> None:
    """SQLite's own words then hold bytes that are no UTF-8."""
    _, raw = attack(sound, tmp_path, 1305)
    assert not raw


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_much_damage_raises_only_sentences(sound: Path, tmp_path: Path, block: int) -> None:
    seeds = range(1000 + 40 * block, 1040 + 40 * block)
    found = [attack(sound, tmp_path, seed) for seed in seeds]
    assert sum(done for done, _ in found) >= 1500
    assert not [error for _, raw in found for error in raw]


def copied(sound: Path, tmp_path: Path, *statements: str) -> Path:
    """Copy the database and run ``statements`` on it."""
    path = Path(shutil.copy(sound, tmp_path / "phichat.db"))
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()
    return path


def test_nothing_of_a_sound_database_is_called_damaged(sound: Path) -> None:
    state = examine(sound)
    assert (state.problem, state.unreadable) == (None, ())


def test_one_bad_date_is_one_marked_entry(sound: Path, tmp_path: Path) -> None:
    path = copied(
        sound,
        tmp_path,
        "UPDATE sessions SET updated = 'yesterday' WHERE key = 2",
        "UPDATE turns SET usage = '[]', token_ids = x'07' WHERE session_key = 3",
    )
    state = examine(path)
    assert state.problem is None
    assert state.unreadable[0] == "sessions.updated (row 2)"
    assert [one.split(" (")[0] for one in state.unreadable[1:]] == [
        "turns.token_ids",
        "turns.usage",
    ]
    store = Store.open(path)
    marked = {session.title: session.damaged for session in store.sessions()}
    assert marked == {f"What is {n}?": n == 1 for n in range(4)}
    for session in store.sessions():
        assert len(store.all_turns(session.id)) == 4
    store.close()


def test_a_lost_end_shows_the_newest_turn(sound: Path, tmp_path: Path) -> None:
    path = copied(sound, tmp_path, "UPDATE sessions SET head_key = 999 WHERE key = 1")
    store = Store.open(path)
    (session,) = (one for one in store.sessions() if one.damaged)
    assert store.conversation(session.id).turns[-1].text == "And then?"
    store.close()


def test_export_of_everything_leaves_out_what_json_cannot_hold(sound: Path, tmp_path: Path) -> None:
    path = copied(sound, tmp_path, "UPDATE sessions SET id = 'NO ID!' WHERE key = 1")
    store = Store.open(path)
    left_out: list[str] = []
    store.export_to(tmp_path / "rest.json", leave_out=left_out.append)
    (sentence,) = left_out
    assert "NO ID! is damaged" in sentence
    assert len(document.parse((tmp_path / "rest.json").read_bytes(), "rest").sessions) == 3
    with pytest.raises(StorageError, match="write it with --format md"):
        list(store.export(["NO ID!"]))
    store.close()


def test_a_circle_of_references_ends(sound: Path, tmp_path: Path) -> None:
    path = copied(sound, tmp_path, "UPDATE turns SET parent_key = 3 WHERE key = 1")
    store = Store.open(path)
    for session in store.sessions():
        conversation = store.conversation(session.id)
        store.newest_leaf(conversation.turns[0].id)
        assert store.tail(session.id, 5)
    store.close()
