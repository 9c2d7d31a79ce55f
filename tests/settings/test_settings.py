"""defaults < configuration file < environment < flags, and one sentence for what can't be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assistant.settings.file import write_setting
from assistant.settings.load import load, load_with_origins, read_value
from assistant.settings.schema import SETTABLE, Settings, SettingsError
from assistant.values.errors import PhichatError
from assistant.values.sampling import Sampling


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment in which everything of ours is in one empty folder."""
    return {"PHICHAT_HOME": str(tmp_path)}


def configure(home: dict[str, str], text: str) -> Path:
    path = Path(home["PHICHAT_HOME"]) / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_layer_overrides_the_one_below(home: dict[str, str]) -> None:
    assert load(environ=home).sampling.max_new_tokens == 1024
    configure(home, 'max_new_tokens = 1\nmodel = "from the file"\ntemperature = 1\nseed = 7\n')
    chosen = load(environ=home)
    assert (chosen.sampling.max_new_tokens, chosen.model, chosen.sampling.seed) == (
        1,
        "from the file",
        7,
    )
    assert isinstance(chosen.sampling.temperature, float)
    environment = home | {"PHICHAT_MAX_NEW_TOKENS": "2", "PHICHAT_SEED": "none"}
    chosen = load(environ=environment)
    assert (chosen.sampling.max_new_tokens, chosen.model, chosen.sampling.seed) == (
        2,
        "from the file",
        None,
    )
    chosen = load({"max_new_tokens": 3, "model": None, "seed": 0}, environ=environment)
    assert (chosen.sampling.max_new_tokens, chosen.model, chosen.sampling.seed) == (
        3,
        "from the file",
        0,
    )


GIVEN: dict[str, tuple[str, object]] = {
    "model": ("here", "here"),
    "system": (" Be brief. ", " Be brief. "),
    "max_new_tokens": ("3", 3),
    "temperature": ("0.5", 0.5),
    "top_p": ("0.5", 0.5),
    "top_k": ("3", 3),
    "min_p": ("0.5", 0.5),
    "repetition_penalty": ("1.5", 1.5),
    "seed": ("3", 3),
    "thinking": ("low", "low"),
    "thinking_models": ('{ "qwen3" = "on" }', {"qwen3": "on"}),
    "num_crops": ("3", 3),
    "context": ("3", 3),
    "summaries": ("true", True),
    "device": ("cuda:1", "cuda:1"),
    "dtype": ("float16", "float16"),
    "weights": ("int8", "int8"),
    "kv": ("int4", "int4"),
    "shared_worker": ("false", False),
    "keep_alive": ("0", 0),
    "feature_cache_mb": ("0", 0),
    "pictures": ("text", "text"),
    "theme": ("phichat-paper", "phichat-paper"),
    "database": ("/x.db", "/x.db"),
    "presets": ('{ Terse = "One sentence.", "two words" = "x" }',
                {"Terse": "One sentence.", "two words": "x"}),
    "keys": ('{ help = "f7" }', {"help": "f7"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTABLE)
def test_every_setting_has_a_variable_and_can_be_typed(name: str, home: dict[str, str]) -> None:
    text, value = GIVEN[name]
    variable = f"PHICHAT_{name.upper()}"
    chosen, origins = load_with_origins(environ=home | {variable: text})
    assert (chosen.value(name), origins[name]) == (value, variable)
    assert value != SETTABLE[name].default
    path = Path(home["PHICHAT_HOME"]) / "config.toml"
    typed = read_value(name, text)
    write_setting(path, name, typed)
    assert load(environ=home).value(name) == value


@pytest.mark.parametrize("text", ["x", "{ a = 1 }", '{ a = "b"', '["a"]', "3\nseed = 4", "{}\n[x]"])
def test_what_is_no_table_is_refused(text: str, home: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r'presets must be a table of texts like {name="text"}'):
        load(environ=home | {"PHICHAT_PRESETS": text})


def test_a_table_whose_texts_are_levels(home: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r'thinking_models must be .* like {name="off"}'):
        load(environ=home | {"PHICHAT_THINKING_MODELS": '{ qwen = "much" }'})


def test_the_defaults_are_those_of_the_manual(home: dict[str, str], tmp_path: Path) -> None:
    assert load(environ=home) == Settings(
        data_dir=tmp_path,
        config_file=tmp_path / "config.toml",
        cache_dir=tmp_path / "cache",
        runtime_dir=tmp_path / "run",
        model="demo",
        database=None,
        device="auto",
        dtype="auto",
        sampling=Sampling(max_new_tokens=1024, temperature=0.0, top_p=1.0, seed=None),
        num_crops=None,
        context=None,
        shared_worker=True,
        keep_alive=300,
        feature_cache_mb=1024,
        system=None,
    )


@pytest.mark.parametrize(
    ("given", "value"), [("0", False), ("false", False), ("1", True), (" True ", True)]
)
def test_yes_and_no_from_the_environment(given: str, value: bool, home: dict[str, str]) -> None:
    assert load(environ=home | {"PHICHAT_SHARED_WORKER": given}).shared_worker is value


@pytest.mark.parametrize("given", ["2", "maybe", 1, None])
def test_neither_yes_nor_no_is_refused(given: object, home: dict[str, str]) -> None:
    if given is None:
        configure(home, "shared_worker = 1\n")
        with pytest.raises(SettingsError, match=r"shared_worker must be true or false, not 1 \("):
            load(environ=home)
    else:
        with pytest.raises(SettingsError, match="shared_worker must be true or false"):
            load({"shared_worker": given}, environ=home)


def test_the_database_is_in_the_data_folder_unless_it_is_named(home: dict[str, str]) -> None:
    assert load(environ=home).store_location == str(Path(home["PHICHAT_HOME"]) / "phichat.db")
    named = load(environ=home | {"PHICHAT_DATABASE": "postgresql://host/chat"})
    assert named.store_location == "postgresql://host/chat"


def test_without_a_home_the_folders_are_the_platforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("DATA", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    if sys.platform.startswith("linux"):
        chosen = load(environ={})
        assert chosen.data_dir == tmp_path / "data" / "phichat"
        assert chosen.config_file == tmp_path / "config" / "phichat" / "config.toml"
        assert chosen.cache_dir == tmp_path / "cache" / "phichat"
        assert chosen.runtime_dir == tmp_path / "cache" / "phichat" / "run"
    chosen = load(environ={"XDG_RUNTIME_DIR": str(tmp_path / "run")})
    assert chosen.runtime_dir == tmp_path / "run" / "phichat"


def test_home_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(environ={"PHICHAT_HOME": "~/chat"}).data_dir == tmp_path / "chat"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('colour = "red"', ['"colour"', "model"]),
        ("data_dir = '/x'", ['"data_dir"']),
        ("[model]\nname = 'x'", ["model must be text"]),
        ("temperature = 'hot'", ["temperature must be a number from 0 to 10", '"hot"']),
        ("temperature = nan", ["temperature must be"]),
        ("temperature = true", ["temperature must be"]),
        ("top_p = 0", ["top_p must be a number above 0, up to 1"]),
        ("seed = -1", ["seed must be a whole number"]),
        ("seed = true", ["seed must be a whole number"]),
        ("max_new_tokens = 0", ["max_new_tokens must be a whole number from 1"]),
        ("max_new_tokens = 1.5", ["max_new_tokens must be"]),
        ("device = 'gpu'", ['device must be "auto", "cpu"', '"gpu"']),
        ("device = 'xpu'", ['device must be "auto", "cpu"', '"xpu"']),  # no memory is planned there
        ("dtype = 'int8'", ["dtype must be"]),
        ("model = ' '", ["model must be text"]),
        ("model = 'a\x0b'", ["not valid TOML"]),
        ('"\\u001b[2J" = 1', ["unknown key", "\ufffd[2J"]),
        ("seed = ?\n", ["not valid TOML", "line 1"]),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_in_it(
    home: dict[str, str], text: str, words: list[str]
) -> None:
    path = configure(home, text)
    with pytest.raises(SettingsError) as caught:
        load(environ=home)
    sentence = str(caught.value)
    for word in [*words, str(path)]:
        assert word in sentence
    assert sentence.isprintable()
    assert isinstance(caught.value, PhichatError)
    assert caught.value.code == "settings"


def test_a_file_that_is_no_text_and_a_folder_are_refused(home: dict[str, str]) -> None:
    path = configure(home, "")
    path.write_bytes(b"model = '\xff'")
    with pytest.raises(SettingsError, match="UTF-8"):
        load(environ=home)
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match="can't be read"):
        load(environ=home)


def test_a_named_configuration_file_must_exist(home: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    environment = home | {"PHICHAT_CONFIG": str(other)}
    with pytest.raises(SettingsError, match="no configuration file"):
        load(environ=environment)
    other.write_text("seed = 5")
    assert load(environ=environment).sampling.seed == 5


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PHICHAT_MAX_NEW_TOKENS", "many"),
        ("PHICHAT_MAX_NEW_TOKENS", "1e3"),
        ("PHICHAT_SEED", "٣"),
        ("PHICHAT_CONTEXT", "131073"),
        ("PHICHAT_TOP_P", "inf"),
        ("PHICHAT_NUM_CROPS", "0"),
    ],
)
def test_a_bad_variable_is_named(home: dict[str, str], variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load(environ=home | {variable: value})


def test_empty_variables_count_as_not_set(home: dict[str, str]) -> None:
    environment = home | {"PHICHAT_MODEL": "", "PHICHAT_SEED": "", "PHICHAT_CONFIG": ""}
    assert load(environ=environment) == load(environ=home)


def test_bad_flags_are_named_as_they_are_typed(home: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="--max-new-tokens"):
        load({"max_new_tokens": "x"}, environ=home)
    with pytest.raises(SettingsError, match="no setting"):
        load({"colour": "red"}, environ=home)


def test_loading_settings_imports_nothing_slow() -> None:
    program = (
        "import sys; from assistant.settings.load import load; load(environ={}); "
        "heavy = ('torch', 'pydantic', 'sqlalchemy', 'PIL', 'textual', 'tomlkit')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
