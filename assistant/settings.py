"""One settings object: defaults < configuration file < PHICHAT_* environment < flags.

A frozen dataclass and ``tomllib`` rather than pydantic-settings, which takes 0.3 s
of CPU time to import and define: a third of what the app's first screen may cost.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from assistant.errors import PhichatError

APP = "phichat"
PREFIX = "PHICHAT_"
CONFIG_NAME = "config.toml"


class SettingsError(PhichatError):
    """A setting can't be used; the sentence names it and where it was given."""

    code = "settings"


Check = Callable[[object], Any]
"""Returns the value as stored, or raises ValueError with the words for "must be …"."""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text")
    return value


def _one_of(pattern: str, words: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(words)
        return value

    return check


def _whole(low: int, high: int) -> Check:
    def check(value: object) -> int:
        number = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return check


def _number(low: float, high: float, *, above: bool = False) -> Check:
    words = f"a number {f'above {low:g}, up to' if above else f'from {low:g} to'} {high:g}"

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(words)
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise ValueError(words) from None
        if not math.isfinite(number) or not low <= number <= high or (above and number == low):
            raise ValueError(words)
        return number

    return check


def _truth(value: object) -> bool:
    words = {"1": True, "true": True, "0": False, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_DEVICE = _one_of(r"auto|cpu|mps|(cuda|xpu)(:[0-9]+)?", '"auto", "cpu", "cuda", "cuda:0" or "mps"')
_DTYPE = _one_of("auto|float32|bfloat16|float16", '"auto", "float32", "bfloat16" or "float16"')
_WEIGHTS = _one_of("auto|float|int8|int4", '"auto", "float", "int8" or "int4"')
_KV = _one_of("auto|float|int8", '"auto", "float" or "int8"')


def _setting(default: object, check: Check) -> Any:
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a person can set, and where our files are; made by :func:`load`.

    A setting that is None is left to the model or to the place that uses it.
    """

    data_dir: Path
    """Conversations."""
    config_file: Path
    """The configuration file, whether it exists or not."""
    cache_dir: Path
    """What can be made again."""
    runtime_dir: Path
    """Sockets and locks of running processes."""

    model: str = _setting("demo", _text)
    """Hub id, local folder, ``demo``, or the address of a server."""
    database: str | None = _setting(None, _text)
    """Path or URL of the database; None is ``phichat.db`` in ``data_dir``."""
    device: str = _setting("auto", _DEVICE)
    dtype: str = _setting("auto", _DTYPE)
    weights: str = _setting("auto", _WEIGHTS)
    """How the decoder's matrices are held; "float" is in ``dtype``, "auto" the memory plan's."""
    kv: str = _setting("auto", _KV)
    """How keys and values are held; "auto" is float where the wanted context then fits."""
    max_new_tokens: int = _setting(1024, _whole(1, 131_072))
    """The longest reply, in tokens."""
    temperature: float = _setting(0.0, _number(0, 10))
    """0 always takes the likeliest token."""
    top_p: float = _setting(1.0, _number(0, 1, above=True))
    seed: int | None = _setting(None, _whole(0, 2**63 - 1))
    num_crops: int | None = _setting(None, _whole(1, 64))
    """Crops that a picture may be cut into; None is the model's own number."""
    context: int | None = _setting(None, _whole(1, 131_072))
    """Most tokens of prompt and reply together; None is what memory holds."""
    shared_worker: bool = _setting(True, _truth)
    """Terminals with the same model and settings share one worker process."""
    keep_alive: int = _setting(300, _whole(0, 86_400))
    """Seconds for which a shared worker waits for another terminal after the last has left."""
    feature_cache_mb: int = _setting(1024, _whole(0, 1_000_000))
    """Disk for the features of pictures that took long to encode, in MiB; 0 keeps none."""
    summaries: bool = _setting(False, _truth)
    """Have the model sum up, when idle, the turns that no longer fit."""
    system: str | None = _setting(None, _text)
    """What the model is told before every new conversation."""

    @property
    def store_location(self) -> str:
        """What to give to ``storage.Store.open``."""
        return self.database or str(self.data_dir / "phichat.db")


_CHECKS: dict[str, Check] = {
    one.name: one.metadata["check"] for one in fields(Settings) if "check" in one.metadata
}
_OPTIONAL = frozenset({"database", "seed", "num_crops", "context", "system"})


def load(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from the configuration file, the environment and ``overrides`` (the flags).

    Flags that are None were not given. An environment variable that is empty
    counts as not set. ``PHICHAT_HOME`` puts everything of ours into one folder;
    ``PHICHAT_CONFIG`` names another configuration file, which must exist then.
    Unknown variables are left alone: other programs may own them. Raises
    SettingsError for an unknown key or a bad value.
    """
    environ = os.environ if environ is None else environ
    folders = _folders(environ.get(f"{PREFIX}HOME", ""), environ.get("XDG_RUNTIME_DIR", ""))
    named = environ.get(f"{PREFIX}CONFIG", "")
    if named:
        folders["config_file"] = _absolute(named)
    values = _from_file(folders["config_file"], must_exist=bool(named))
    for name in _CHECKS:
        variable = PREFIX + name.upper()
        if given := environ.get(variable):
            values[name] = _checked(name, given, variable)
    for name, value in (overrides or {}).items():
        if name not in _CHECKS:
            raise SettingsError(f'There is no setting "{_shown(name)}"; {_known_settings()}.')
        if value is not None:
            values[name] = _checked(name, value, "--" + name.replace("_", "-"))
    return Settings(**folders, **values)


def _folders(home: str, xdg_runtime: str) -> dict[str, Any]:
    if home:
        root = _absolute(home)
        return {
            "data_dir": root,
            "config_file": root / CONFIG_NAME,
            "cache_dir": root / "cache",
            "runtime_dir": root / "run",
        }
    import platformdirs

    cache = platformdirs.user_cache_path(APP, appauthor=False)
    return {
        "data_dir": platformdirs.user_data_path(APP, appauthor=False),
        "config_file": platformdirs.user_config_path(APP, appauthor=False) / CONFIG_NAME,
        "cache_dir": cache,
        # Not platformdirs' own choice, which is a guessable folder in /tmp where
        # XDG_RUNTIME_DIR is not set: anyone on the machine could have made it first.
        "runtime_dir": Path(xdg_runtime) / APP if xdg_runtime else cache / "run",
    }


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


def _from_file(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise SettingsError(
                f"There is no configuration file {path}; check PHICHAT_CONFIG."
            ) from None
        return {}
    except OSError as error:
        raise SettingsError(
            f"The configuration file {path} can't be read ({error.strerror}); "
            "check what it is and its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The configuration file {path} is not UTF-8 text; save it as UTF-8."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"The configuration file {path} is not valid TOML; correct it: {error}."
        ) from error
    for name in found:
        if name not in _CHECKS:
            raise SettingsError(
                f'The configuration file {path} has an unknown key "{_shown(name)}"; '
                f"{_known_settings()}."
            )
    return {name: _checked(name, value, str(path)) for name, value in found.items()}


def _checked(name: str, value: object, source: str) -> object:
    if name in _OPTIONAL and isinstance(value, str) and value.strip().lower() == "none":
        return None
    try:
        return _CHECKS[name](value)
    except ValueError as error:
        raise SettingsError(f"{name} must be {error}, not {_quoted(value)} ({source}).") from None


def _known_settings() -> str:
    return f"the settings are {', '.join(_CHECKS)}"


def _quoted(value: object) -> str:
    return f'"{_shown(value)}"' if isinstance(value, str) else _shown(repr(value))


def _shown(text: str) -> str:
    """A word in a message: short, and without anything that a terminal would obey."""
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return text if len(text) <= 60 else text[:59] + "…"
