"""``phichat config``: what it writes, and where values are said to come from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant.cli.root_command import cli
from assistant.settings.load import load as load_settings
from assistant.settings.schema import SETTABLE


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["config", *arguments], prog_name="phichat")
    return done.exit_code, done.stdout, done.stderr


def test_each_value_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("set", "seed", "7") == (0, "", "")
    assert run("set", "top_p", "0.5") == (0, "", "")
    monkeypatch.setenv("PHICHAT_TOP_P", "0.25")
    shown = json.loads(run("show", "--json")[1])
    file = str(load_settings().config_file)
    assert shown["file"] == file
    assert set(shown["settings"]) == set(SETTABLE)
    assert shown["settings"]["seed"] == {"value": 7, "from": file}
    assert shown["settings"]["top_p"] == {"value": 0.25, "from": "PHICHAT_TOP_P"}
    assert shown["settings"]["model"] == {"value": "demo", "from": "default"}
    lines = run("show")[1].splitlines()
    assert [line.split()[0] for line in lines] == list(SETTABLE)


def test_a_variable_that_goes_before_the_file_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_SEED", "5")
    assert run("set", "seed", "7") == (
        0, "", "PHICHAT_SEED is set and goes before it: unset it.\n",
    )  # fmt: skip


def test_edit_writes_the_file_first_and_opens_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "an editor"
    editor.write_text('#!/bin/sh\necho "seed = 3" >> "$2"; test "$1" = --wait\n')
    editor.chmod(0o755)
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setenv("VISUAL", f"'{editor}' --wait")
    file = load_settings().config_file
    assert run("edit") == (0, "", f"{file} is in order.\n")
    assert load_settings().sampling.seed == 3
    assert "# max_new_tokens = 1024" in file.read_text()
    assert run("unset", "seed")[0] == 0
    assert load_settings().sampling.seed is None


def test_a_setting_may_be_mended_that_was_wrong() -> None:
    file = load_settings().config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("seed = -1\n")
    assert run("show")[0] == 1
    assert run("set", "seed", "1") == (0, "", "")
    assert run("show")[0] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    folder = load_settings().config_file.parent
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o500)
    try:
        code, _, stderr = run("set", "seed", "1")
    finally:
        folder.chmod(0o700)
    assert code == 1
    assert "can't be written (Permission denied)" in stderr
