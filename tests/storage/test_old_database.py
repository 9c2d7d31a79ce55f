"""Databases and exports written by the previous program give the same answers today.

The database, and what the program that wrote it answered, are in tests/data/database_0003; its
write.py made both, with the program of commit 5dcf884.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant.cli.root_command import cli
from assistant.pictures.source import open_source
from assistant.values.conversation import FinishReason, Parameters, Summary
from storage.store import Store

OLD = Path(__file__).parent.parent / "data" / "database_0003"
LAMPS, FROM_REPLY, FORK, CARE, INTERRUPTED, LEFT_BEHIND, DELETED = (
    (OLD / "sessions.txt").read_text().split()
)
QUERIES = {
    "lamp": "lamp",
    "picture": "zebra_print",
    "chinese": "红色",
    "prefix": "triang",
    "phrase": '"two lamps"',
}
_STYLE = re.compile(rb"(?s)sha256-[^']*|<style>.*</style>")
"""The look of an exported page, which may change, and its checksum."""

COMMANDS = {
    "list.json": ["list", "--json"],
    "export.json": ["export", "--all"],
    "export_1.html": ["export", LAMPS, "--format", "html", "--branches"],
    **{f"search_{name}.json": ["search", words, "--json"] for name, words in QUERIES.items()},
}
for number, session in enumerate((LAMPS, FROM_REPLY, FORK, CARE, INTERRUPTED, LEFT_BEHIND), 1):
    COMMANDS[f"show_{number}.json"] = ["show", session, "--all", "--json"]
    COMMANDS[f"export_{number}.md"] = ["export", session, "--format", "md", "--branches"]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the old database; the time zone is UTC, as when the answers were given."""
    path = tmp_path / "phichat.db"
    shutil.copy(OLD / "phichat.db", path)
    monkeypatch.setenv("PHICHAT_DATABASE", str(path))
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield path
    time.tzset()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_answer_is_the_same(database: Path, name: str) -> None:
    answer = CliRunner().invoke(cli, ["sessions", *COMMANDS[name]])
    assert (answer.exit_code, answer.stderr) == (0, "")
    wanted = (OLD / name).read_bytes()
    if name.endswith((".md", ".html")):  # the one word that was changed on purpose since
        assert wanted.count(b"Session") == 1
        wanted = wanted.replace(b"Session", b"Chat")
    assert _STYLE.sub(b"", answer.stdout_bytes) == _STYLE.sub(b"", wanted)


def test_every_kept_answer_is_asked_for() -> None:
    kept = {path.name for path in OLD.iterdir()} - {"phichat.db", "sessions.txt", "write.py"}
    assert kept == set(COMMANDS)


def test_what_no_export_shows_is_there_too(database: Path) -> None:
    with closing(Store.open(database)) as store:
        chat = store.conversation(LAMPS)
        assert chat.parameters == Parameters(
            temperature=0.25, top_p=0.9, top_k=40, seed=7, max_new_tokens=24, stop=("END",)
        )
        assert chat.summary == Summary("Two lamps were shown.\nOne is red.", chat.turns[3].id, True)
        crops = {p.number: (p.num_crops, p.pinned) for t in chat.turns for p in t.pictures}
        assert crops[1][1]
        assert crops[2] == (4, False)
        draft = store.draft(LAMPS)
        assert draft is not None
        assert [(p.name, len(p.data) > 0) for p in draft.pictures] == [
            ("the same.png", True),
            ("lamp.png", True),
        ]
        new = store.draft(None)
        assert new is not None
        assert (new.text, [p.name for p in new.pictures]) == ("not sent yet", ["zebra_print.png"])
        shown = {p.sha256 for t in store.conversation(FROM_REPLY).turns for p in t.pictures}
        assert shown == {draft.pictures[0].sha256}
        assert store.conversation(LEFT_BEHIND).turns[-1].finish_reason is FinishReason.INTERRUPTED


def test_the_deleted_session_can_be_restored(database: Path) -> None:
    with closing(Store.open(database)) as store:
        assert DELETED not in [one.id for one in store.sessions()]
        store.restore(DELETED)
        assert store.conversation(DELETED).title == "This one is deleted"


def test_an_old_export_is_imported_and_written_again_byte_for_byte(store: Store) -> None:
    data = (OLD / "export.json").read_bytes()
    done = store.import_json(data, "export.json", open_source)
    assert len(done.sessions) == 6
    assert "".join(store.export()).encode() == data
