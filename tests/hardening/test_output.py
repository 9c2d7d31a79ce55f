"""Output of commands: any encoding of the terminal, no character that it obeys, private files."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.values.conversation import Draft, ExportFormat
from storage.store import Store
from tests.conftest import ROOT
from tests.hardening.test_screen_text import BIDI, HOSTILE
from tests.tiers import few_quick

SAID = f"漢字 é 👩 {HOSTILE}".replace("\0", "")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("PHICHAT_HOME", str(tmp_path / "home"))
    with_home = Store.open(tmp_path / "home" / "phichat.db")
    session_id, _ = with_home.add_user_turn(None, Draft(SAID))
    with_home.rename(session_id, SAID)
    with_home.close()
    return session_id


@pytest.mark.slow
@pytest.mark.parametrize("encoding", few_quick(["cp1252", "iso-8859-1", "utf-8"]))
def test_no_encoding_ends_a_command(session: str, random_folder: Path, encoding: str) -> None:
    more = {"PYTHONIOENCODING": encoding, "PHICHAT_MODEL": str(random_folder)}
    environment = {**os.environ, **more, "PHICHAT_MAX_NEW_TOKENS": "4"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "assistant.cli", *arguments]
        done = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT)
        assert b"Traceback" not in done.stderr, done.stderr
        return done.stdout.decode(encoding)

    assert session in run("sessions", "list")
    assert "user:" in run("sessions", "show", session)
    assert session in run("sessions", "search", "漢字")
    assert run("ask", "漢字 👩")
    run("sessions", "show", "漢字")
    shown = json.loads(run("sessions", "show", session, "--json"))
    assert shown["turns"][0]["text"] == SAID, "JSON loses nothing"


@pytest.mark.parametrize("encoding", few_quick(["ascii", "euc-jp", "utf-8", "iso-8859-1"]))
def test_lines_that_are_no_text_of_the_terminal_are_read(
    session: str, random_folder: Path, encoding: str
) -> None:
    """A conversation in lines waited for ever behind a reader that had failed."""
    more = {"PYTHONIOENCODING": encoding, "PHICHAT_MODEL": str(random_folder)}
    environment = {**os.environ, **more, "PHICHAT_MAX_NEW_TOKENS": "4"}
    command = [sys.executable, "-m", "assistant.cli", "chat", "--plain"]
    typed = b"Hi \xc3\xa9\xe6\xbc\xa2 \xff\n/quit\n"
    done = subprocess.run(command, input=typed, capture_output=True, env=environment, cwd=ROOT)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.slow
def test_lines_are_in_the_encoding_of_the_terminal(session: str, random_folder: Path) -> None:
    more = {"PYTHONIOENCODING": "iso-8859-1", "PHICHAT_MODEL": str(random_folder)}
    environment = {**os.environ, **more, "PHICHAT_MAX_NEW_TOKENS": "4"}
    command = [sys.executable, "-m", "assistant.cli"]
    typed = "Grüße\n/quit\n".encode("iso-8859-1")
    subprocess.run([*command, "chat", "--plain"], input=typed, env=environment, cwd=ROOT)
    listed = [*command, "sessions", "list", "--json"]
    done = subprocess.run(listed, capture_output=True, env=environment, cwd=ROOT)
    assert json.loads(done.stdout)[0]["title"] == "Grüße"


def test_json_holds_no_character_that_a_terminal_obeys(session: str, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "home" / "phichat.db")
    text = "".join(store.export([session], ExportFormat.JSON))
    codes = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - {"\n"}
    assert not (codes | set(BIDI)) & set(text)
    assert json.loads(text)["sessions"][0]["turns"][0]["text"] == SAID
    store.close()


@pytest.mark.parametrize("format", list(ExportFormat))
def test_exports_are_for_their_owner(session: str, tmp_path: Path, format: ExportFormat) -> None:
    store, before = Store.open(tmp_path / "home" / "phichat.db"), os.umask(0)
    try:
        (made,) = store.export_to(tmp_path / f"talk.{format}", [session], format)
    finally:
        os.umask(before)
        store.close()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
