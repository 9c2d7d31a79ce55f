"""Cost of long lists in the app, in a real pseudo-terminal of 120 x 40.

    python -m tests.bench.tui_open [--turns 2000] [--sessions 10000]

Prints one JSON object: CPU seconds (the app's process, user and system) from a
start with a new chat to one with the long session (a picture in every 40th turn) on
the screen and counted for the meter, the difference of the two being what opening it
costs; ``shown_cpu_s`` from the start until its last words stood there; the same for a
session whose one reply has 200,000 characters; CPU milliseconds of a page up and the
memory that a hundred of them add; CPU seconds of the first list of many sessions, of
going to its end, and CPU milliseconds of a key in it, and of a letter typed into the
search. Limit: 1 CPU-second to open.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from assistant.pictures import decode
from assistant.values.conversation import Draft, FinishReason, PictureFile
from storage.store import Store
from tests.bench.pseudo_terminal import PseudoTerminal, resident_mb, used_home, work_cpu_s

READY = b"sk about a picture"
PAGES = 100
IDLE_CPU_S = 0.03
PICTURES_EVERY = 40
HUGE = 200_000
ANSWER = (
    "It shows **one red circle** on white ground.\n\n- its colour is close to `#c0392b`\n"
    "- it is filled, without an outline\n\n" + "A paragraph about what else can be seen. " * 8
)


def multiply(path: Path, sessions: int) -> None:
    """Copy the one session's row: ten thousand transactions would take minutes."""
    with closing(sqlite3.connect(path)) as db, db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(sessions)")]
        old = dict(zip(columns, db.execute("SELECT * FROM sessions").fetchone(), strict=True))
        marks = ", ".join("?" * len(columns))
        rows = (
            tuple((old | {"key": 1000 + n, "id": f"s{n:07}", "title": f"Chat {n}"}).values())
            for n in range(sessions)
        )
        db.executemany(f"INSERT INTO sessions VALUES ({marks})", rows)


def picture(number: int) -> PictureFile:
    """One of many pictures."""
    image = Image.radial_gradient("L").resize((640, 480)).point(lambda v: (v + number) % 256)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return decode.open_bytes(buffer.getvalue(), name=f"picture {number}.png")


def huge(path: Path) -> str:
    """A session whose one reply is very long; returns its id."""
    store = Store.open(path)
    session, turn = store.add_user_turn(None, Draft("Tell me all"), model="scripted")
    reply = store.start_reply(session, turn.id, model="scripted")
    store.finish_reply(
        reply.id,
        text=(f"{ANSWER}\n\n" * (HUGE // len(ANSWER))) + "The last answer.",
        token_ids=(),
        finish_reason=FinishReason.STOP,
        usage=None,
        timings=None,
    )
    store.close()
    return session


def fill(path: Path, turns: int, sessions: int) -> str:
    """A database with one long session, the newest of many; returns its id."""
    store = Store.open(path)
    if sessions:
        store.add_user_turn(None, Draft("A question about a picture"), model="scripted")
        multiply(path, sessions)
    session: str | None = None
    for number in range(turns // 2):
        shown = (picture(number),) if (turns // 2 - number) % (PICTURES_EVERY // 2) == 1 else ()
        draft = Draft(f"Question {number}", shown)
        session, turn = store.add_user_turn(session, draft, model="scripted")
        reply = store.start_reply(session, turn.id, model="scripted")
        store.finish_reply(
            reply.id,
            text=f"Answer {number}. {ANSWER}" if number < turns // 2 - 1 else "The last answer.",
            token_ids=(),
            finish_reason=FinishReason.STOP,
            usage=None,
            timings=None,
        )
    store.close()
    assert session is not None
    return session


def settled(terminal: PseudoTerminal) -> float:
    """CPU seconds when nothing but the cursor's blinking is drawn any more."""
    before = -1.0
    while (now := terminal.cpu_s) - before > IDLE_CPU_S:
        before = now
        terminal.read_for(0.7)
    return now


def start(home: str, *arguments: str) -> PseudoTerminal:
    """The app; nothing loads a model."""
    environment = used_home(Path(home)) | {"PHICHAT_MODEL": f"{home}/no-model"}
    return PseudoTerminal(["-m", "assistant.cli", "chat", *arguments], environment)


def empty_start(home: str) -> float:
    """CPU seconds of a start with a new chat."""
    with start(home) as terminal:
        terminal.read_until(READY)
        return settled(terminal)


def long_session(home: str, session: str) -> dict[str, float]:
    """Open it, then page up through it."""
    with start(home, "--session", session) as terminal:
        terminal.read_until(b"The last answer")
        shown = terminal.cpu_s
        opened, memory = settled(terminal), resident_mb(terminal.pid)
        for _ in range(PAGES):
            terminal.write(b"\x1b[5~")
            terminal.read_for(0.08)
        paged = settled(terminal)
        return {
            "shown_cpu_s": shown,
            "cpu_s": opened,
            "page_up_cpu_ms": round(1000 * (paged - opened) / PAGES, 1),
            "pages_add_mb": round(resident_mb(terminal.pid) - memory, 1),
        }


def many_sessions(home: str) -> dict[str, float]:
    """Show the list, go down in it key by key, then to its end; then search."""
    with start(home) as terminal:
        terminal.read_until(READY)
        before = settled(terminal)
        terminal.write(b"\x02\x02")  # hide the list, show it and go into it
        settled(terminal)
        keys = 100
        shown = terminal.cpu_s
        for _ in range(keys):
            terminal.write(b"\x1b[B")
            terminal.read_for(0.03)
        walked = settled(terminal)
        for _ in range(60):
            terminal.write(b"\x1b[F")
            terminal.read_for(0.1)
        ended = settled(terminal)
        terminal.write(b"\x06")  # the search
        opened = settled(terminal)
        typed = b"chat 77"
        for letter in typed:
            terminal.write(bytes([letter]))
            terminal.read_for(0.3)  # slow enough for a search after each
        return {
            "start_cpu_s": before,
            "down_cpu_ms": round(1000 * (walked - shown) / keys, 1),
            "to_the_end_cpu_s": round(ended - walked, 2),
            "search_letter_cpu_ms": round(1000 * (settled(terminal) - opened) / len(typed), 1),
        }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--sessions", type=int, default=10_000)
    options = parser.parse_args()
    began = datetime.now(UTC)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # tens of thousands of commits
    with (
        tempfile.TemporaryDirectory(dir=memory) as long,
        tempfile.TemporaryDirectory(dir=memory) as many,
    ):
        # where the app looks under PHICHAT_HOME
        session = fill(Path(long) / "phichat.db", options.turns, 0)
        longest = huge(Path(long) / "phichat.db")
        fill(Path(many) / "phichat.db", 2, options.sessions)
        filled = (datetime.now(UTC) - began).total_seconds()
        empty_start(long)  # writes bytecode
        empty, opened, listed = empty_start(long), long_session(long, session), many_sessions(many)
        read = long_session(long, longest)
    result = {
        "open_cpu_s": round(opened["cpu_s"] - empty, 2),
        "open_200k_characters_cpu_s": round(read["cpu_s"] - empty, 2),
        "page_up_200k_characters_cpu_ms": read["page_up_cpu_ms"],
        "limit": 1.0,
        "empty_start_cpu_s": empty,
        "turns": options.turns,
        **{name: value for name, value in opened.items() if name != "cpu_s"},
        "sessions": options.sessions,
        **listed,
        "filling_s": round(filled, 1),
        "work_cpu_s": round(work_cpu_s(), 3),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
