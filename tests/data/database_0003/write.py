"""Script that wrote this folder: a database and the answers of the phichat that wrote it.

It was run once, with the program of commit 5dcf884 (the schema is m0003), in a checkout of it:

    git worktree add /tmp/old 5dcf884 && cd /tmp/old && make  # or any other way to its environment
    TZ=UTC .venv/bin/python .../tests/data/database_0003/write.py .../tests/data/database_0003

It uses the names of that commit, so it does not run with today's program, and need not: databases
of users look like this one. The deletion of the deleted session was moved to the far future, so
that it can always be restored. Of the two replies that a killed process left behind, the old
program marked one as interrupted; the other is marked when the database is opened next.
"""

import io
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(sys.argv[1]).resolve()
sys.path.insert(0, os.getcwd())

COMMANDS = {
    "list.json": ["sessions", "list", "--json"],
    "search_lamp.json": ["sessions", "search", "lamp", "--json"],
    "search_picture.json": ["sessions", "search", "zebra_print", "--json"],
    "search_chinese.json": ["sessions", "search", "红色", "--json"],
    "search_prefix.json": ["sessions", "search", "triang", "--json"],
    "search_phrase.json": ["sessions", "search", '"two lamps"', "--json"],
    "export.json": ["sessions", "export", "--all"],
}
"""Commands of the old program, besides `show` and the exports of every session."""


def picture(shape: str, color: str, size: tuple[int, int] = (64, 48)) -> bytes:
    image = Image.new("RGB", size, "white")
    getattr(ImageDraw.Draw(image), shape)((10, 8, 50, 40), fill=color)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_database(path: Path) -> list[str]:
    """Make the database with the old engine and its demo model; returns the sessions' ids."""
    from assistant.conversation import Draft, FinishReason, Parameters, Summary

    from assistant.core import Sampling
    from assistant.engine.open import open_engine
    from assistant.pictures.decode import open_bytes
    from assistant.settings.load import load

    engine = open_engine(
        load({"model": "demo", "database": str(path), "max_new_tokens": 24, "shared_worker": False})
    )
    store = engine._store
    lamp = open_bytes(picture("ellipse", "red"), name="lamp.png")
    print_ = open_bytes(picture("rectangle", "blue"), name="zebra_print.png")
    again = open_bytes(picture("rectangle", "blue"), name="the same.png")

    def send(session, text, *pictures, **options):
        events = list(engine.send(session, Draft(text, pictures), **options))
        return events[0].session_id, events[0].turn, events[-1].turn

    # 1) branches, versions, marks, a summary, a quotation, parameters, a draft
    lamps, first, _ = send(None, "What do the two lamps show?", lamp, print_)
    _, second, reply = send(lamps, "And the colour of the first?")
    list(engine.regenerate(lamps, Sampling(temperature=0.7, seed=11, max_new_tokens=12)))
    list(engine.edit(lamps, first.id, Draft("What do these two lamps show, exactly?", (lamp,))))
    engine.choose(lamps, reply.id)
    _, third, _ = send(lamps, "Thank you. Is a triangle there?")
    engine.set_turn_pinned(second.id, True)
    engine.set_turn_excluded(third.id, True)
    engine.set_picture_pinned(lamps, 1, True)
    engine.set_picture_crops(lamps, 2, 4)
    engine.set_system(lamps, "Answer in one sentence. 用一句话回答。")
    engine.set_parameters(
        lamps,
        Parameters(temperature=0.25, top_p=0.9, top_k=40, seed=7, max_new_tokens=24, stop=("END",)),
    )
    store.set_summary(lamps, Summary("Two lamps were shown.\nOne is red.", reply.id, edited=True))
    store.add_recall_turn(lamps, "From earlier, about “lamps”:\n\n“Two lamps”: a red lamp.")
    send(lamps, "So, which one?", open_bytes(picture("ellipse", "green"), name="third.png"))
    engine.rename(lamps, "Two lamps & <b>a triangle</b>")
    engine.set_session_pinned(lamps, True)
    engine.save_draft(lamps, Draft("half a sentence", (again, lamp)))

    # 2) a title made from a reply; a picture that the first session has under another name
    untold, *_ = send(None, "", again)

    # 3) a fork, of the first two exchanges
    fork = engine.fork(lamps, reply.id)

    # 4) texts that want care: markup, other scripts, controls; a reply that a server's model gave
    care, *_ = send(
        None, "# Not a heading\n<script>1</script> **两只灯 红色** مرحبا 👩‍👩‍👧 a\x1b[31mb\tc"
    )
    engine.set_model(care, "http://127.0.0.1:9/v1")
    _, asked = store.add_user_turn(care, Draft("A code block:\n```py\nprint('hi')\n```"))
    begun = store.start_reply(care, asked.id, model="http://127.0.0.1:9/v1")
    store.checkpoint_reply(begun.id, "It was cut", None)
    store.finish_reply(
        begun.id, text="It was cut off", token_ids=None, finish_reason=FinishReason.ERROR,
        usage=None, timings=None,
    )  # fmt: skip
    _, asked = store.add_user_turn(care, Draft("Once more"))
    begun = store.start_reply(care, asked.id, model="demo")
    store.finish_reply(
        begun.id, text="I was", token_ids=(306, 471), finish_reason=FinishReason.STOPPED,
        usage=None, timings=None,
    )  # fmt: skip

    # 5) a deleted session that can be restored; 6) an empty draft place: the new chat's
    gone, *_ = send(None, "This one is deleted", lamp)
    engine.delete(gone)
    engine.save_draft(None, Draft("not sent yet", (print_,)))
    engine.close()
    return [lamps, untold, fork, care, gone]


KILLED = """
import os, sys
from assistant.conversation import Draft, Parameters
from storage.store import Store
store = Store.open(sys.argv[1])
session, turn = store.add_user_turn(None, Draft(sys.argv[2]))
reply = store.start_reply(session, turn.id, model="demo", parameters=Parameters(temperature=0.0))
store.checkpoint_reply(reply.id, "There is a lamp and", (1670, 338, 263, 3708, 282, 322))
print(session, flush=True)
os._exit(9)
"""


def run(*arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True,
        env=os.environ | environment,
    ).stdout  # fmt: skip


def killed(path: Path, text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), text], capture_output=True, text=True
    )
    assert done.returncode == 9, done.stderr
    return done.stdout.strip()


def main() -> None:
    path = HERE / "phichat.db"
    path.unlink(missing_ok=True)
    lamps, untold, fork, care, gone = write_database(path)
    interrupted = killed(path, "Interrupted, and found so")
    still = killed(path, "Interrupted, and not found yet")  # opening it found the one before
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(
        "UPDATE sessions SET deleted = '2999-01-01 00:00:00.000000' WHERE id = ?", (gone,)
    )
    database.execute("PRAGMA journal_mode = DELETE")  # all in one file
    database.execute("VACUUM")
    database.close()
    copy = HERE / "copy.db"
    copy.write_bytes(path.read_bytes())
    shown = [lamps, untold, fork, care, interrupted, still]
    commands = dict(COMMANDS)
    for number, session in enumerate(shown, 1):
        commands[f"show_{number}.json"] = ["sessions", "show", session, "--all", "--json"]
        commands[f"export_{number}.md"] = [
            "sessions", "export", session, "--format", "md", "--branches",
        ]  # fmt: skip
    commands["export_1.html"] = ["sessions", "export", lamps, "--format", "html", "--branches"]
    phichat = str(Path(sys.executable).parent / "phichat")
    for name, arguments in commands.items():
        answer = run(phichat, *arguments, PHICHAT_DATABASE=str(copy), TZ="UTC")
        (HERE / name).write_text(answer, encoding="utf-8", newline="")
    (HERE / "sessions.txt").write_text("\n".join([*shown, gone]) + "\n")
    for left in HERE.glob("copy.db*"):
        left.unlink()


main()
