"""Damaged columns of the right form: JSON and numbers as phichat stores them, and no meaning.

Chances, thoughts, parameters, origins, regions, usage and times are replaced by values that parse.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from assistant.engine.chances import branch, tokens_of, words_of
from assistant.servers.vocabulary import TextVocabulary
from assistant.values.chances import Chance
from assistant.values.conversation import Draft, FinishReason, Thought, Timings, Turn, Usage
from assistant.values.errors import PhichatError
from storage.inspection import examine
from storage.store import Store
from tests.hardening.test_damaged_databases import operations
from tests.storage.stored_pictures import make_picture
from tests.storage.test_exchange_json import write_talk

FEW, MANY = 5, 120

_NUMBERS = (
    0, -1, 1, 2**31, 2**63 - 1, 10**30, 1e308, "x", None, True, [], {}, "a\x1b[31m\x9b", 0.5,
            float("inf"))  # fmt: skip
_MEMBERS = (
    ("sha256", "left", "top", "width", "height", "number"),
    ("sha256", "name", "page", "seconds"),
    ("text", "seconds", "upto", "edited"),
    ("prompt_tokens", "picture_tokens", "cached_tokens", "completion_tokens"),
    ("load_s", "ttft_s", "decode_tokens_per_s"),
    ("temperature", "top_k", "top_p", "seed", "stop", "schema", "max_new_tokens", "thinking"),
)
_FLOATS = (1e38, float("nan"), float("inf"), -float("inf"), 500.0, -1.0)
_HALVES = (float("nan"), float("inf"), 9.0, -1.0)
_TIMES = ("9999-12-31 23:59:59.999999", "0001-01-01 00:00:00", "2026-01-01 00:00:00+14:00",
          "2026-02-30 00:00:00", "-4000-01-01 00:00:00")  # fmt: skip


def _blob(dice: random.Random) -> bytes:
    """Chances or ids as they are packed."""
    match dice.randrange(3):
        case 0:
            others = [(dice.choice((0, 5, 2**32 - 1)), dice.choice(_HALVES)) for _ in range(3)]
            flat = [one for pair in others for one in pair]
            row = struct.pack("<fIeIeIe", dice.choice(_FLOATS), *flat)
            return bytes([3]) + row * dice.choice((1, 3, 5))
        case 1:
            head = struct.pack("<Bf", dice.choice((0, 1, 3, 255)), dice.choice(_FLOATS))
            return b"T" + head + struct.pack("<eB", 5.0, dice.choice((0, 3, 255))) + b"\xff\xfe\x1b"
        case _:
            return bytes([4]) + struct.pack("<3I", 2**32 - 1, 2**31, 32007)


def _value(dice: random.Random, sha256: str) -> object:
    match dice.randrange(6):
        case 0 | 1:
            members = {name: dice.choice(_NUMBERS) for name in dice.choice(_MEMBERS)}
            if "sha256" in members:
                members["sha256"] = dice.choice((sha256, "0" * 64, "x", 5, None))
            return json.dumps(members)
        case 2:
            return _blob(dice)
        case 3:
            return dice.choice(_TIMES)
        case 4:
            return dice.choice((10**18, -(10**18), 0, 1e300, -0.0))
        case _:
            return "\x00a\x1b]0;x\x07" * 3


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a value in every column."""
    path = tmp_path_factory.mktemp("columns") / "phichat.db"
    store = Store.open(path)
    write_talk(store)
    cat = make_picture("cat", "cat.png")
    session, question = store.add_user_turn(None, Draft("What? cat", (cat,)))
    for chances in (
        (Chance(-0.2, ((5, -2.0),)), Chance(-0.2, ()), Chance(-1.0)),
        (Chance(-0.2, ((" x", -2.0),)), None, Chance(-1.0)),
    ):
        reply = store.start_reply(session, question.id, model="demo")
        store.finish_reply(
            reply.id, text="A cat.", token_ids=(1, 2, 3), finish_reason=FinishReason.STOP,
            usage=Usage(1, 2, 3, 4), timings=Timings(0.1, 0.2, 3.0), chances=chances,
            thought=Thought("hm", 2.0),
        )  # fmt: skip
    store.save_draft(session, Draft("d", (cat,)))
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode = DELETE")
        sha256 = db.execute("SELECT sha256 FROM pictures").fetchone()[0]
        region = {"sha256": sha256, "left": 1, "top": 2, "width": 3, "height": 4, "number": 1}
        origin = {"sha256": "0" * 64, "name": "a.pdf", "page": 3, "seconds": 0.0}
        db.execute("UPDATE session_pictures SET region = ?", (json.dumps(region),))
        db.execute("UPDATE session_pictures SET origin = ? WHERE rowid % 2", (json.dumps(origin),))
        db.commit()
    return path


def damage(path: Path, dice: random.Random) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        listed = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        tables = [row[0] for row in db.execute(listed) if not row[0].startswith("search")]
        sha256 = db.execute("SELECT sha256 FROM pictures").fetchone()[0]
        for _ in range(dice.randint(1, 3)):
            table = dice.choice(tables)
            some = dice.choice(("", "WHERE rowid % 2 = 0"))
            try:
                column = dice.choice([row[1] for row in db.execute(f"PRAGMA table_info({table})")])
                change = f"UPDATE {table} SET {column} = ? {some}"
                db.execute(change, (_value(dice, sha256),))
                db.commit()
            except sqlite3.Error:
                db.rollback()  # a key that must be unique, or an index that is damaged already


def _doubt(store: Store, turn: Turn) -> None:
    vocabulary, chances = TextVocabulary(), store.chances(turn.id)
    if chances and turn.token_ids:
        tokens = tokens_of(turn.token_ids, chances, vocabulary)
        words_of(tokens)
        for token in tokens:
            for other in token.others:
                branch(turn.token_ids, chances, token.place, other.id, vocabulary)


def _looks(store: Store) -> Iterator[Callable[[], object]]:
    """Look at what later columns hold."""
    yield lambda: list(store.all_pictures("cat"))
    for session in store.sessions():
        try:
            pictures = store.conversation(session.id).pictures
            turns = store.all_turns(session.id)
        except PhichatError:
            continue
        for turn in turns:
            yield lambda turn=turn: _doubt(store, turn)
            yield lambda turn=turn: f"{turn.timings}{turn.usage}{turn.created.astimezone()}"
        for picture in pictures:
            yield lambda picture=picture: picture.region and picture.region.typed


def attack(sound: Path, tmp: Path, seed: int) -> tuple[int, list[str]]:
    """Damage a copy and try everything; returns the count and the raw errors."""
    folder = tmp / f"columns {seed}"
    folder.mkdir()
    path = Path(shutil.copy(sound, folder / "phichat.db"))
    damage(path, random.Random(seed))
    done, raw = 0, list[str]()

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
        for looks in (_looks(store), operations(store, folder)):
            attempt(lambda looks=looks: [attempt(one) for one in looks])
        store.close()
    shutil.rmtree(folder)
    return done, raw


def test_damaged_columns_raise_only_sentences(sound: Path, tmp_path: Path) -> None:
    found = [attack(sound, tmp_path, seed) for seed in range(FEW)]
    assert sum(done for done, _ in found) > 40 * FEW
    assert not [error for _, raw in found for error in raw]


@pytest.mark.long
def test_many_damaged_columns_raise_only_sentences(sound: Path, tmp_path: Path) -> None:
    found = [attack(sound, tmp_path, seed) for seed in range(2000, 2000 + MANY)]
    print(sum(done for done, _ in found), "operations")
    assert sum(done for done, _ in found) > 5000
    assert not [error for _, raw in found for error in raw]
