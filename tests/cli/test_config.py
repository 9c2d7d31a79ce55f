"""``phichat config``: what it writes, and where values are said to come from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from textual.keys import Keys, _character_to_key

from assistant.cli.root_command import cli
from assistant.settings.app_names import ACTIONS, THEMES, unknown_name
from assistant.settings.load import load as load_settings
from assistant.settings.schema import SETTABLE
from assistant.values.setting import as_typed
from tui.keys import KEYS_BY_NAME
from tui.themes import ANSI, ANSI_LIGHT, AUTO_THEME, CONTRAST, INK, PAPER


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


def test_a_file_with_other_faults_is_mended_key_by_key() -> None:
    file = load_settings().config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('nope = 1\ntop_p = "much"\n\n["no way"]\nkv = 1\n')
    code, out, said = run("set", "seed", "3")
    assert (code, out) == (0, "")
    assert said.startswith("seed is written, but the settings can't be used yet. ")
    assert 'an unknown key "nope"' in said
    assert "phichat config unset nope" in said
    assert "seed = 3" in file.read_text()
    code, _, said = run("unset", "nope")
    assert code == 0
    assert said.startswith("nope is taken out, but the settings can't be used yet. ")
    assert "phichat config unset 'no way'" in said
    code, _, said = run("unset", "no way")
    assert code == 0
    assert "top_p must be" in said
    assert run("unset", "top_p") == (0, "", "")
    assert load_settings().sampling.seed == 3


def test_a_key_that_is_neither_a_setting_nor_in_the_file_is_refused() -> None:
    for _ in range(2):
        code, _, said = run("unset", "nope")
        assert code == 1
        assert said.startswith('There is no setting "nope"')
        run("set", "seed", "3")


def test_a_wrong_setting_is_written_nowhere() -> None:
    run("set", "seed", "3")
    file = load_settings().config_file
    before = file.read_text()
    assert run("set", "seed", "x")[0] == 1
    assert run("set", "nope", "x")[0] == 1
    assert file.read_text() == before


@pytest.mark.parametrize(
    "text", ["[seed]\nx = 1\n", "[[seed]]\nx = 1\n", "seed.a = 1\n", '[keys]\na = "b"\n[seed]\n']
)
def test_a_table_in_the_place_of_a_number_is_taken_out_or_replaced(text: str) -> None:
    file = load_settings().config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    for change in (["unset", "seed"], ["set", "seed", "3"]):
        file.write_text(text)
        assert run("show")[0] == 1
        assert run(*change) == (0, "", "")
        assert load_settings().sampling.seed == (3 if "set" in change else None)


def test_a_table_is_shown_as_it_can_be_set() -> None:
    table = {"qwen3.5-4b": "on", "a b": "high", 'say "so"': "off", "\u202ebidi\x7f": "low"}
    typed = as_typed(table)
    assert typed.isprintable()
    assert run("set", "thinking_models", typed) == (0, "", "")
    assert load_settings().thinking_models == table
    lines = {line.split()[0]: line for line in run("show")[1].splitlines()}
    assert lines["thinking_models"].split(maxsplit=1)[1].startswith(typed + " ")
    assert lines["keys"].split()[1] == "{}"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_of_a_windows_editor_is_read_and_changed_as_it_is(mark: bytes, ends: str) -> None:
    file = load_settings().config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(mark + f"top_p = 0.5{ends}# seed = 1{ends}".encode())
    assert load_settings().sampling.top_p == 0.5
    assert run("set", "seed", "3") == (0, "", "")
    assert run("set", "kv", "int8") == (0, "", "")
    wanted = f'top_p = 0.5{ends}seed = 3{ends}kv = "int8"{ends}'
    assert file.read_bytes() == mark + wanted.encode()
    assert run("unset", "seed") == (0, "", "")
    wanted = wanted.replace("seed = 3", '# seed = "none"')
    assert file.read_bytes() == mark + wanted.encode()


@pytest.mark.parametrize(
    "data", [b"= 1\n", b"seed = ?\n", "seed = 1\n".encode("utf-16-le"), b"a = \x00", b"\xff\xfe"]
)
def test_a_file_that_is_no_toml_is_refused_in_the_same_words_by_each_command(data: bytes) -> None:
    file = load_settings().config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    refused = run("show")
    assert refused[0] == 1
    assert "is not UTF-8 text" in refused[2] or "(at line 1, column" in refused[2]
    assert run("set", "seed", "1") == run("unset", "seed") == refused
    assert file.read_bytes() == data


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("theme", "nonsense", 'theme must be "auto", "phichat-ink"'),
        ("keys", '{anwser_again="f10"}', 'keys names no action "anwser_again"; the actions are'),
        ("keys", '{answer_again="frob"}', 'keys gives answer_again the unknown key "frob"'),
        ("keys", '{answer_again="f10,ctrl+"}', 'the unknown key "ctrl+"'),
    ],
)
def test_names_that_the_app_does_not_know_are_refused(name: str, value: str, said: str) -> None:
    code, _, stderr = run("set", name, value)
    assert code == 1
    assert said in stderr
    assert load_settings().value(name) == SETTABLE[name].default


def test_every_name_that_the_app_knows_is_taken() -> None:
    assert set(ACTIONS) == set(KEYS_BY_NAME)
    assert set(THEMES) == {
        AUTO_THEME, INK.name, PAPER.name, CONTRAST.name, ANSI.name, ANSI_LIGHT.name,
    }  # fmt: skip
    assert unknown_name("keys", KEYS_BY_NAME) == ""
    for letter in map(chr, range(33, 127)):
        assert unknown_name("keys", {"send": _character_to_key(letter)}) == "", letter
    for key in Keys:
        if "-" not in key.value and key.name.startswith(
            ("F", "Control", "Page", "Back", "Esc", "Home", "Up", "Del")
        ):
            assert unknown_name("keys", {"send": key.value}) == "", key
    assert run("set", "theme", "phichat-paper") == (0, "", "")
    assert run("set", "keys", '{answer_again="f10,alt+r", stop="ctrl+slash"}') == (0, "", "")
