"""``phichat sessions …``: what each command and each of its errors says, word for word."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from assistant.cli.root_command import cli
from assistant.cli.sessions.change import restore
from assistant.cli.sessions.group import sessions as group
from assistant.cli.sessions.show import _highlighted
from assistant.pictures.source import open_source
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft, FinishReason, Snippet
from storage.store import Store
from tests.conftest import GOLDENS
from tests.storage.llm_tables import LLM_0_13

PICTURE = GOLDENS / "images" / "sq336.png"

Transcript = tuple[int, str, str]
Run = Callable[..., Transcript]


@pytest.fixture(scope="module")
def _database(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A database with two sessions, made once; and their ids."""
    path = tmp_path_factory.mktemp("sessions") / "phichat.db"
    with closing(Store.open(path)) as store:
        older, _ = store.add_user_turn(None, Draft("Older talk of nothing"), model="demo")
        newer, question = store.add_user_turn(
            None, Draft("What is the red shape?", (open_source(PICTURE),)), model="demo"
        )
        for text in ("A circle.", "A red\x1b[31m circle."):
            reply = store.start_reply(newer, question.id, model="demo")
            store.finish_reply(
                reply.id,
                text=text,
                token_ids=(1, 2),
                finish_reason=FinishReason.STOP,
                usage=None,
                timings=None,
            )
    return path, {"OLDER": older, "NEWER": newer, "TURN": question.id, "REPLY": reply.id}


@pytest.fixture
def ids(_database: tuple[Path, dict[str, str]]) -> dict[str, str]:
    return _database[1]


@pytest.fixture
def database(_database: tuple[Path, dict[str, str]]) -> Path:
    location = Path(load_settings().store_location)
    location.parent.mkdir(parents=True)
    shutil.copy(_database[0], location)
    return location


@pytest.fixture
def sessions(
    database: Path, ids: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run ``phichat sessions …`` in an empty folder; NEWER stands for an id, and so on."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*arguments: str, stdin: str | bytes | None = None) -> Transcript:
        for name, value in ids.items():
            arguments = tuple(one.replace(name, value) for one in arguments)
        done = CliRunner().invoke(cli, ["sessions", *arguments], input=stdin, prog_name="phichat")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, masked(done.stdout), masked(done.stderr)

    def masked(text: str) -> str:
        for name, value in ids.items():
            text = text.replace(value, name)
        text = text.replace(str(tmp_path), "TMP")
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "MOMENT", text)
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "WHEN", text)

    return run


def of_json(transcript: Transcript) -> Any:
    code, stdout, stderr = transcript
    assert (code, stderr) == (0, "")
    return json.loads(stdout)


def titles(run: Run) -> list[str]:
    return [one["title"] for one in of_json(run("list", "--json"))]


def test_list(sessions: Run) -> None:
    assert sessions("list") == (
        0,
        "NEWER  WHEN    2 messages    1 picture  What is the red shape?\n"
        "OLDER  WHEN     1 message   0 pictures  Older talk of nothing\n",
        "",
    )
    assert sessions("list", "--limit", "1")[1].count("\n") == 1
    newer, older = of_json(sessions("list", "--json"))
    assert newer == {
        "id": "NEWER", "title": "What is the red shape?", "created": "MOMENT", "updated": "MOMENT",
        "turns": 2, "pictures": 1, "model": "demo", "pinned": False, "damaged": False,
    }  # fmt: skip
    assert older["id"] == "OLDER"


def test_show(sessions: Run, ids: dict[str, str]) -> None:
    wanted = (
        "What is the red shape?\n\nuser:\n[picture 1: sq336.png 336x336]\n"
        "What is the red shape?\n\nassistant:\nA red circle.\n"
    )
    more = "1 message of other branches: add --all.\n"
    assert sessions("show", "NEWER") == (0, wanted, more)
    assert sessions("show", ids["NEWER"][:6].upper()) == (0, wanted, more), "a beginning is enough"
    branch = "\n--- another branch, after “What is the red shape?”\n\nassistant:\n"
    first, *_ = wanted.partition("A red circle.")
    both = {
        f"{first}A red circle.\n{branch}A circle.\n",
        f"{first}A circle.\n{branch}A red circle.\n",
    }
    code, shown_all, stderr = sessions("show", "NEWER", "--all")
    assert (code, shown_all in both, stderr) == (0, True, "")
    shown = of_json(sessions("show", "NEWER", "--json"))
    assert {key: shown[key] for key in ("id", "title", "created", "model", "pinned")} == {
        "id": "NEWER", "title": "What is the red shape?", "created": "MOMENT", "model": "demo",
        "pinned": False,
    }  # fmt: skip
    question, reply = shown["turns"]
    (picture,) = question.pop("pictures")
    assert (picture["number"], picture["name"], len(picture["sha256"])) == (1, "sq336.png", 64)
    assert question == {
        "id": "TURN", "parent": None, "role": "user", "text": "What is the red shape?",
        "finish_reason": None, "created": "MOMENT", "kind": "message", "pinned": False,
        "excluded": False,
    }  # fmt: skip
    assert (reply["id"], reply["parent"], reply["finish_reason"]) == ("REPLY", "TURN", "stop")
    assert len(of_json(sessions("show", "NEWER", "--json", "--all"))["turns"]) == 3


def test_search(sessions: Run) -> None:
    assert sessions("search", "circle", "red") == (
        0,
        "NEWER  WHEN  What is the red shape?\n    assistant: A red circle.\n",
        "",
    )
    assert sessions("search", "nothing", "--session", "NEWER") == (0, "", "")
    assert sessions("search", "nothing", "--limit", "1")[1].count("\n") == 2
    (hit,) = of_json(sessions("search", "circle", "red", "--json"))
    assert {key: hit[key] for key in ("session", "turn", "found_in", "role", "title")} == {
        "session": "NEWER", "turn": "REPLY", "found_in": "turn", "role": "assistant",
        "title": "What is the red shape?",
    }  # fmt: skip
    assert "circle" in hit["snippet"]
    assert hit["score"] > 0
    assert [hit["snippet"][start:end] for start, end in hit["marks"]] == ["red", "circle"]


def test_what_was_found_is_bold_on_a_terminal_and_nothing_else_gets_through() -> None:
    snippet = Snippet("a\nred\x1b[5m \x1b]0;x\x07circle", ((2, 5),))
    assert _highlighted(snippet) == "a \x1b[1mred\x1b[0m circle"
    assert click.unstyle(_highlighted(Snippet("plain"))) == "plain"


def test_rename(sessions: Run) -> None:
    assert sessions("rename", "NEWER", "Red\x1b things") == (0, "", "")
    assert titles(sessions) == ["Red things", "Older talk of nothing"]
    renamed = of_json(sessions("rename", "NEWER", "Again", "--json"))
    assert renamed == {"id": "NEWER", "title": "Again"}
    assert sessions("rename", "NEWER", "\t\x07") == (
        1,
        "",
        "A title needs at least one visible character; type one.\n",
    )


def test_fork(sessions: Run) -> None:
    code, stdout, stderr = sessions("fork", "NEWER")
    assert (code, stderr) == (0, "")
    forked = of_json(sessions("show", stdout.strip(), "--json"))
    assert [turn["text"] for turn in forked["turns"]] == [
        "What is the red shape?",
        "A red\x1b[31m circle.",
    ]
    at = of_json(sessions("fork", "NEWER", "--at", "TURN", "--json"))
    assert len(of_json(sessions("show", at["id"], "--json"))["turns"]) == 1
    assert sessions("fork", "NEWER", "--at", "nothing") == (
        1,
        "",
        "There is no turn nothing in this chat; its turns are named by: phichat sessions show "
        "NEWER --all --json\n",
    )


def test_delete_asks_and_can_be_undone(sessions: Run) -> None:
    question = "Delete “What is the red shape?”? [y/N]: "  # the runner echoes what is typed
    refused = f"{question}n\nNothing was deleted.\n"
    assert sessions("delete", "NEWER", stdin="n\n") == (1, "", refused)
    unanswered = f"{question}\nNo answer came, so nothing was deleted: add --yes.\n"
    assert sessions("delete", "NEWER", stdin="") == (1, "", unanswered)
    hint = "Deleted; for a day it comes back with: phichat sessions restore NEWER\n"
    assert sessions("delete", "NEWER", stdin="y\n") == (0, "", f"{question}y\n{hint}")
    assert titles(sessions) == ["Older talk of nothing"]
    assert sessions("restore", "NEWER") == (0, "", "")
    assert titles(sessions) == ["What is the red shape?", "Older talk of nothing"]
    assert of_json(sessions("delete", "NEWER", "--yes", "--json")) == {
        "id": "NEWER",
        "restorable": True,
    }
    assert of_json(sessions("restore", "NEWER", "--json"))["id"] == "NEWER"


def test_a_deleted_chat_is_found_again_without_its_whole_id(sessions: Run) -> None:
    sessions("delete", "NEWER", "--yes")
    (deleted,) = of_json(sessions("list", "--deleted", "--json"))
    assert deleted["title"] == "What is the red shape?"
    assert "What is the red shape?" in sessions("list", "--deleted")[1]
    gone = "The chat NEWER was deleted; bring it back with: phichat sessions restore NEWER\n"
    assert sessions("show", "NEWER") == (1, "", gone)
    context = click.Context(restore)
    (offer,) = restore.params[0].shell_complete(context, "")
    assert offer.help == deleted["title"]
    assert sessions("restore", offer.value[:6]) == (0, "", "")
    assert titles(sessions) == ["What is the red shape?", "Older talk of nothing"]
    there = "The chat NEWER is not deleted: there is nothing to restore.\n"
    assert sessions("restore", "NEWER") == (1, "", there)
    assert restore.params[0].shell_complete(context, "") == []
    assert sessions("list", "--deleted", "--shared")[0] == 2


def test_delete_for_good(sessions: Run) -> None:
    question = "Delete “What is the red shape?” for good? [y/N]: "
    assert sessions("delete", "NEWER", "--for-good", stdin="y\n") == (0, "", f"{question}y\n")
    no_session = (
        'There is no deleted chat "NEWER"; list them with: phichat sessions list --deleted.\n'
    )
    assert sessions("restore", "NEWER") == (1, "", no_session)
    assert sessions("list", "--deleted") == (0, "", "")
    assert titles(sessions) == ["Older talk of nothing"]


def test_export_to_standard_output(sessions: Run) -> None:
    code, whole, stderr = sessions("export", "NEWER", "OLDER")
    assert (code, stderr) == (0, "")
    assert [one["id"] for one in json.loads(whole)["sessions"]] == ["OLDER", "NEWER"]
    assert sessions("export", "--all") == (0, whole, "")
    assert sessions("export", "NEWER", "--format", "md") == (
        0,
        "# What is the red shape?\n\nChat: NEWER · Begun: WHEN UTC · Last used: WHEN UTC · "
        "Model: demo\n\n## 1 · You · WHEN UTC\n\n(picture 1: sq336.png, 336 x 336)\n\n"
        "> What is the red shape?\n\n## 2 · Assistant · WHEN UTC\n\n(demo)\n\n> A red circle.\n\n",
        "",
    )
    code, page, stderr = sessions("export", "NEWER", "--format", "html", "--branches")
    assert (code, stderr, page[:15]) == (0, "", "<!doctype html>")
    assert "Other versions" in page


def test_export_to_files(sessions: Run) -> None:
    assert sessions("export", "NEWER", "-o", "talk.md") == (0, "", "talk.md\n")
    assert Path("talk_pictures/picture-1.png").read_bytes() == PICTURE.read_bytes()
    assert sessions("export", "NEWER", "-o", "talk.HTML") == (0, "", "talk.HTML\n")
    assert Path("talk.HTML").read_text("utf-8").startswith("<!doctype html>")
    assert sessions("export", "NEWER", "-o", "talk.txt", "--format", "json")[0] == 0
    assert json.loads(Path("talk.txt").read_text("utf-8"))["phichat"] == 1
    names = ["notes/Older-talk-of-nothing-OLDER.md", "notes/What-is-the-red-shape-NEWER.md"]
    written = of_json(sessions("export", "--all", "--format", "md", "-o", "notes/", "--json"))
    assert written == {"files": names}
    exists = "TMP/work/talk.md exists already; choose another path, or add --overwrite.\n"
    assert sessions("export", "OLDER", "-o", "talk.md") == (1, "", exists)
    assert sessions("export", "NEWER", "-o", "talk.md", "--overwrite") == (0, "", "talk.md\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export"], "Give chats, or --all"),
        (["export", "--all", "NEWER"], "Give chats, or --all"),
        (["export", "--all", "--json"], "--json names the files that were written: add -o FILE"),
        (["export", "--all", "--format", "md"], "One md document holds one chat"),
        (["export", "NEWER", "OLDER", "--format", "html"], "One html document holds one chat"),
        (["export", "NEWER", "--format", "pdf"], "'pdf' is not one of 'json', 'md', 'html';"),
        (["export", "NEWER", "-o", ""], "--output needs a name, or - for standard output"),
        (["export", "NEWER", "-o", "x.bogus"], "No format ends in .bogus: .json, .md, .html"),
        (["import"], "Missing argument 'FILE...';"),
        (["backup"], "Missing argument 'FILE';"),
        (["search"], "Missing argument 'WORDS...';"),
        (["list", "--limit", "0"], "0 is not in the range 1<=x<=1000000;"),
        (["nonsense"], "No such command 'nonsense';"),
    ],
)
def test_wrong_usage(sessions: Run, arguments: list[str], words: str) -> None:
    code, stdout, stderr = sessions(*arguments)
    wanted = {"error": {"code": "usage", "message": stderr.strip()}}
    assert (code, json.loads(stdout) if stdout else wanted) == (2, wanted)
    assert bool(stdout) == ("--json" in arguments)
    assert words in stderr
    assert stderr.count("\n") == 1


_NO_DELETED = 'There is no deleted chat "nope"; list them with: phichat sessions list --deleted.'
_NO_SESSION = 'There is no chat "nope"; list them with: phichat sessions list.'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nope"], _NO_SESSION),
        (["rename", "nope", "x"], _NO_SESSION),
        (["fork", "nope"], _NO_SESSION),
        (["delete", "nope", "--yes"], _NO_SESSION),
        (["restore", "nope"], _NO_DELETED),
        (["search", "x", "--session", "nope"], _NO_SESSION),
        (["export", "nope", "-o", "x.json"], _NO_SESSION),
        (
            ["export", "--all", "-o", "both.md"],
            "both.md is not a folder, and one md file holds one chat; make the folder first, "
            "or use JSON.",
        ),
        (
            ["export", "NEWER", "-o", "nowhere/talk.json"],
            "TMP/work/nowhere/talk.json can't be written (No such file or directory); check its "
            "folder and the free space.",
        ),
        (
            ["import", "nowhere.json"],
            "nowhere.json can't be read (No such file or directory); check its path and "
            "permissions.",
        ),
        (
            ["import", "."],
            ". can't be read (Is a directory); check its path and permissions.",
        ),
        (
            ["backup", "."],
            "TMP/work is not a file that can be written; give another path.",
        ),
        (
            ["backup", "TMP/home/phichat.db"],
            "TMP/home/phichat.db is the database itself; give another path.",
        ),
    ],
)
def test_a_request_that_fails(
    sessions: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    arguments = [one.replace("TMP", str(tmp_path)) for one in arguments]
    assert sessions(*arguments) == (1, "", f"{message}\n")
    code, stdout, stderr = sessions(*arguments, "--json")
    assert (code, stderr) == (1, f"{message}\n")
    assert json.loads(stdout)["error"]["message"] == message
    assert list(Path().iterdir()) == []


def test_import_what_was_exported(sessions: Run, database: Path) -> None:
    whole = sessions_bytes(sessions)
    assert sessions("import", "all.json") == (
        0,
        "OLDER  here already  Older talk of nothing\nNEWER  here already  What is the red shape?\n",
        "",
    )
    database.unlink()
    assert sessions("import", "all.json") == (
        0,
        "OLDER  imported  Older talk of nothing\nNEWER  imported  What is the red shape?\n",
        "",
    )
    assert sessions("export", "--all", "-o", "again.json")[0] == 0
    assert Path("again.json").read_bytes() == whole
    assert sessions("rename", "NEWER", "Changed")[0] == 0
    assert sessions("import", "-", stdin=whole) == (
        1,
        "",
        "The chat NEWER (“What is the red shape?”) is here already and differs from the file, so "
        "nothing was imported; import it as a copy with --copy.\n",
    )
    done = of_json(sessions("import", "all.json", "--copy", "--json"))
    assert [(one["title"], one["outcome"]) for one in done["sessions"]] == [
        ("Older talk of nothing", "unchanged"),
        ("What is the red shape?", "copy"),
    ]
    assert done["left_out"] == []
    assert len(titles(sessions)) == 3


def sessions_bytes(run: Run) -> bytes:
    assert run("export", "--all", "-o", "all.json")[0] == 0
    return Path("all.json").read_bytes()


def test_import_of_something_else(sessions: Run) -> None:
    Path("a.json").write_text('{"messages": []}')
    message = "a.json is not a phichat export; give a file made by: phichat sessions export.\n"
    assert sessions("import", "a.json") == (1, "", message)
    code, stdout, stderr = sessions("import", "--json", "-", stdin=b"{")
    assert (code, stderr) == (
        1,
        "standard input is damaged or incomplete (it is not valid JSON); get another copy of it.\n",
    )
    assert json.loads(stdout)["error"] == {"code": "import", "message": stderr.strip()}


def test_import_of_llm_logs_twice(sessions: Run) -> None:
    with closing(sqlite3.connect("logs.db")) as connection:
        connection.executescript(LLM_0_13)
        connection.execute("UPDATE responses SET system = 'Now else.' WHERE id = 'r2'")
        connection.commit()
    left_out = "Left out: system prompts after the first one of a chat (1).\n"
    code, stdout, stderr = sessions("import", "logs.db")
    assert (code, stderr) == (0, left_out)
    assert re.fullmatch("[0-9a-z]{12}  imported  Greetings\n", stdout)
    assert sessions("import", "logs.db") == (
        0,
        stdout.replace("imported", "here already"),
        left_out,
    )
    assert titles(sessions)[-1] == "Greetings"


def test_backup(sessions: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sessions("backup", "copy.db") == (0, "", "")
    exists = "TMP/work/copy.db exists already; choose another path, or add --overwrite.\n"
    assert sessions("backup", "copy.db") == (1, "", exists)
    made = of_json(sessions("backup", "copy.db", "--overwrite", "--json"))
    assert made == {"file": "copy.db", "bytes": Path("copy.db").stat().st_size}
    named = "A backup is a file, not standard output: name it, as in chats.db; see: "
    assert sessions("backup", "-") == (2, "", f"{named}phichat sessions backup --help\n")
    assert not Path("-").exists()
    listed = sessions("list")
    monkeypatch.setenv("PHICHAT_DATABASE", "copy.db")
    assert sessions("list") == listed


@pytest.mark.parametrize("name", sorted(group.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = CliRunner().invoke(cli, ["sessions", name, "--help"], prog_name="phichat")
    assert done.exit_code == 0
    assert f"\n  phichat sessions {name} " in done.stdout
    assert "--json" in done.stdout
