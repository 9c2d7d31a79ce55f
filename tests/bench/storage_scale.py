"""Times of storage at the size of ten years: listing, opening, searching.

    python -m tests.bench.storage_scale [--folder FOLDER]

Generates 10,000 sessions with 1,000,000 turns and 20,000 pictures, and a tenth of
that for comparison, and prints one JSON object: the median of each operation in
milliseconds, with the files in the page cache. With ``--folder`` the databases
are kept there and used again. Pictures are 1 KiB each: their bytes are read by
none of these operations.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import accumulate
from pathlib import Path

from storage.store import Store
from storage.words import indexed

TURNS, PICTURES = 100, 2  # of each session
LONG = 10_000  # turns of one more session
REPEATS = 15

COMMON = [
    "the",
    "of",
    "and",
    "to",
    "a",
    "in",
    "is",
    "it",
    "that",
    "for",
    "you",
    "was",
    "with",
    "as",
    "on",
    "are",
    "this",
    "be",
    "at",
    "or",
]
CHINESE = "今天天气很好我们去公园看花这张图片里有一只红色的猫蓝色圆形三角在左边右边上面"
LIMITS_MS = {"list": 30, "search": 100, "open": 20}
SEARCHES = {
    "rare word": "zyzzyva",
    "absent word": "qqqqq ",
    "common word": "the ",
    "word in a tenth": "tenth ",
    "prefix of one letter": "t",
    "prefix of two letters": "th",
    "prefix of three letters": "pic",
    "prefix of a word in a tenth": "tent",
    "two common words": "the with ",
    "common and rare word": "the zyzzyva ",
    "two words that never meet": "evenly oddly ",
    "phrase": '"of the"',
    "Chinese, two characters": "天气",
    "Chinese, one character": "猫",
    "Chinese, a phrase": "一只红色的猫",
}


class Words:
    """Text whose words are as common as those of a language (Zipf), with some of a known number."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        syllables = [c + v for c in "bcdfghklmnprst" for v in "aeiou"]
        made = {"".join(self._random.choices(syllables, k=self._random.randint(2, 4)))
                for _ in range(40_000)}  # fmt: skip
        words = [*COMMON, "picture", "pictures", *sorted(made)]
        weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
        # Whole sentences are drawn, because drawing fifty million words takes minutes.
        lengths = self._random.choices(range(5, 16), k=50_000)
        self._sentences = [
            " ".join(self._random.choices(words, cum_weights=weights, k=k)) for k in lengths
        ]

    def text(self, number: int) -> str:
        if number % 20 == 7:
            return "".join(self._random.choices(CHINESE, k=60))
        text = ". ".join(self._random.choices(self._sentences, k=self._random.randint(1, 7)))
        if number % 10 == 3:
            text += " tenth"
        if number % 10_007 == 5:
            text += " zyzzyva"
        if number % 5 == 0:
            text += " evenly" if number % 2 == 0 else " oddly"
        return text


def generate(path: Path, sessions: int) -> None:
    """Fill a new database; every row goes through the triggers, as ever."""
    Store.open(path).close()
    words, token_ids = Words(0), bytes([2]) + os.urandom(120)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        turn_key = picture_key = 0
        for first in range(1, sessions + 1, 200):
            db.execute("BEGIN")
            for session in range(first, min(first + 200, sessions + 1)):
                length = LONG if session == 1 else TURNS
                title = words.text(2)[:60]
                db.execute(
                    "INSERT INTO sessions (key, id, title, title_words, created, updated, pinned) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (session, f"s{session}", title, indexed(title), _moment(turn_key),
                     _moment(turn_key + length), session % 2000 == 0),
                )  # fmt: skip
                turns = _turns(words, session, turn_key, length, token_ids)
                db.executemany(
                    "INSERT INTO turns (key, id, session_key, parent_key, depth, role, text, "
                    "words, created, token_ids, finish_reason) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    turns,
                )
                for number in range(1, PICTURES + 1):
                    picture_key += 1
                    data = picture_key.to_bytes(4, "big") * 256
                    sha = hashlib.sha256(data).hexdigest()
                    db.execute(
                        "INSERT INTO pictures (key, sha256, pixels_sha256, media_type, width, "
                        "height, data) VALUES (?, ?, ?, 'image/png', 640, 480, ?)",
                        (picture_key, sha, sha, data),
                    )
                    db.execute(
                        "INSERT INTO session_pictures (session_key, number, picture_key, name) "
                        "VALUES (?, ?, ?, ?)",
                        (session, number, picture_key, f"holiday_{picture_key}.png"),
                    )
                    db.execute(
                        "INSERT INTO turn_pictures VALUES (?, 0, ?, ?)",
                        (turn_key + 2 * number - 1, session, number),
                    )
                turn_key += length
                db.execute("UPDATE sessions SET head_key = ? WHERE key = ?", (turn_key, session))
            db.execute("COMMIT")


def _turns(
    words: Words, session: int, before: int, length: int, token_ids: bytes
) -> Iterator[tuple[object, ...]]:
    for depth in range(1, length + 1):
        key = before + depth
        text, reply = words.text(key), depth % 2 == 0
        yield (key, f"t{key}", session, None if depth == 1 else key - 1, depth,
               "assistant" if reply else "user", text, indexed(text), _moment(key),
               token_ids if reply else None, "stop" if reply else None)  # fmt: skip


def _moment(number: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(1_400_000_000 + 300 * number))


def measure(path: Path) -> dict[str, object]:
    """Medians of each operation."""
    started = time.perf_counter()
    store = Store.open(path)
    opened = time.perf_counter() - started
    sessions = len(store.sessions(limit=1_000_000))
    middle = [f"s{round(sessions * (n + 0.5) / REPEATS) + 1}" for n in range(REPEATS)]
    result: dict[str, object] = {
        "sessions": sessions,
        "file_bytes": path.stat().st_size,
        "open_database_ms": round(opened * 1000, 1),
        "list_newest_50": _median(lambda _: store.sessions(limit=50)),
        "list_50_in_the_middle": _median(lambda _: store.sessions(50, sessions // 2)),
        "open_last_40_turns": _median(lambda n: store.tail(middle[n], 40)),
        "open_last_40_of_10000_turns": _median(lambda _: store.tail("s1", 40)),
        "whole_session_of_100_turns": _median(lambda n: store.conversation(middle[n])),
        "small_change": _median(lambda n: store.set_pinned(middle[n], False)),
        "search": {
            name: _median(lambda _, w=typed: store.search(w)) | {"hits": len(store.search(typed))}
            for name, typed in SEARCHES.items()
        },
        "search_one_session": _median(lambda n: store.search("the ", session_id=middle[n])),
        "search_picture": _median(lambda n: store.search(f"holiday_{n * sessions // 8 + 1}.png")),
    }
    store.close()
    return result


def _median(operation: Callable[[int], object]) -> dict[str, float]:
    """Elapsed time, and the processor's, which other work on the machine does not add to."""
    operation(0)
    elapsed, busy = [], []
    for n in range(REPEATS):
        started, busy_before = time.perf_counter(), time.process_time()
        operation(n)
        elapsed.append(time.perf_counter() - started)
        busy.append(time.process_time() - busy_before)
    return {
        "ms": round(statistics.median(elapsed) * 1000, 2),
        "cpu_ms": round(statistics.median(busy) * 1000, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where the databases are kept")
    parser.add_argument("--sessions", type=int, nargs="*", default=[1_000, 10_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = []
        for sessions in options.sessions:
            path = folder / f"{sessions}.db"
            seconds = 0.0
            if not path.exists():
                unfinished = path.with_suffix(".unfinished")
                unfinished.unlink(missing_ok=True)
                started = time.perf_counter()
                generate(unfinished, sessions)
                seconds = round(time.perf_counter() - started, 1)
                unfinished.rename(path)
            results.append(measure(path) | {"generated_in_s": seconds})
        print(json.dumps({"limits_ms": LIMITS_MS, "databases": results}, indent=1))


if __name__ == "__main__":
    main()
