"""The commented configuration file: made from the schema, changed one setting at a time."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from assistant.settings.file import remove_setting, template, write_setting, write_template
from assistant.settings.load import load, read_value
from assistant.settings.schema import SETTABLE, SettingsError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "made" / "config.toml"


def read(file: Path) -> dict[str, object]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def test_the_template_changes_nothing_and_uncommented_says_the_defaults(
    tmp_path: Path, file: Path
) -> None:
    write_template(file)
    assert read(file) == {}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [
        line[2:] for line in template().splitlines() if line.startswith("# ") and " = " in line
    ]
    assert [line.partition(" ")[0] for line in lines] == list(SETTABLE)
    file.write_text("\n".join(lines))
    home = {"PHICHAT_HOME": str(tmp_path)}
    defaults = load(environ=home)
    assert load(environ=home | {"PHICHAT_CONFIG": str(file)}) == defaults.changed(config_file=file)


def test_a_setting_takes_the_place_of_its_comment_and_leaves_it_again(file: Path) -> None:
    write_setting(file, "max_new_tokens", 301)
    before = template().replace("# max_new_tokens = 1024", "max_new_tokens = 301")
    assert file.read_text() == before
    write_setting(file, "max_new_tokens", 5)
    assert file.read_text() == before.replace("301", "5")
    remove_setting(file, "max_new_tokens")
    remove_setting(file, "seed")  # it was never there
    assert file.read_text() == template()


def test_what_a_person_wrote_stays(file: Path) -> None:
    file.parent.mkdir()
    text = 'seed=7   # lucky\nsystem = """\n# model = "x"\n"""\n\n# mine\r\ntop_p = 0.5\n'
    file.write_bytes(text.encode())
    write_setting(file, "model", "demo")
    assert file.read_bytes().decode() == text + 'model = "demo"\n'
    write_setting(file, "seed", 8)
    assert file.read_bytes().decode().startswith("seed=8   # lucky\n")


def test_a_link_stays_a_link_and_permissions_stay(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    real.chmod(0o644)
    file.parent.mkdir()
    file.symlink_to(real)
    write_setting(file, "seed", 1)
    assert file.is_symlink()
    assert read(real) == {"seed": 1}
    assert stat.S_IMODE(real.stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == ["dotfiles.toml", "made"], "nothing else is left behind"


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"seed = ?", "not valid TOML"), (b"\xff", "not UTF-8"), (None, "can't be written")],
)
def test_a_file_that_can_not_be_changed_is_left_as_it_is(
    file: Path, content: bytes | None, words: str
) -> None:
    file.parent.mkdir()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        write_setting(file, "seed", 1)
    assert content is None or file.read_bytes() == content


@settings(deadline=None, max_examples=30)
@given(
    values=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["model", "system"]), st.text(min_size=1)),
            st.tuples(st.just("seed"), st.integers(0, 2**63 - 1)),
            st.tuples(st.just("temperature"), st.floats(0, 10)),
            st.tuples(st.just("summaries"), st.booleans()),
            st.tuples(st.sampled_from(["model", "system", "seed"]), st.none()),
        ),
        max_size=12,
    )
)
def test_any_row_of_changes_says_what_was_said_last(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[str, object]]
) -> None:
    file = tmp_path_factory.mktemp("config") / "config.toml"
    wanted: dict[str, object] = {}
    for name, value in values:
        if value is None:
            remove_setting(file, name)
            wanted.pop(name, None)
        else:
            write_setting(file, name, value)  # type: ignore[arg-type]
            wanted[name] = value
    assert (read(file) if file.exists() else {}) == wanted


def test_a_typed_value_is_read_by_the_schema() -> None:
    assert read_value("max_new_tokens", "300") == 300
    assert read_value("shared_worker", "false") is False
    assert read_value("seed", "none") == "none"
    assert read_value("model", "none") == "none"
    with pytest.raises(SettingsError, match=r'kv must be "auto", .* not "x" \(as typed\)'):
        read_value("kv", "x")
    with pytest.raises(SettingsError, match='no setting "colour"'):
        read_value("colour", "x")


def test_tables_keep_their_comments_and_their_place(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    write_template(file)
    write_setting(file, "presets", {"terse": "One sentence.", "two words": "a\n“b”"})
    write_setting(file, "top_p", 0.5)
    assert read(file) == {
        "top_p": 0.5,
        "presets": {"terse": "One sentence.", "two words": "a\n“b”"},
    }
    file.write_text('seed = 3\n\n[presets]\n# mine\nold = "x"\nkept = "y"\n\n[keys]\nhelp = "f7"\n')
    write_setting(file, "presets", {"kept": "z", "new": "n"})
    write_setting(file, "temperature", 0.5)
    assert read(file) == {
        "seed": 3,
        "temperature": 0.5,
        "presets": {"kept": "z", "new": "n"},
        "keys": {"help": "f7"},
    }
    assert "# mine" in file.read_text()
    remove_setting(file, "presets")
    assert read(file) == {"seed": 3, "temperature": 0.5, "keys": {"help": "f7"}}
