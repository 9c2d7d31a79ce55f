"""The sources of settings: defaults < configuration file < PHICHAT_* environment < flags."""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.settings.app_names import unknown_name
from assistant.settings.paths import find_places
from assistant.settings.schema import (
    PREFIX,
    SETTABLE,
    Settings,
    SettingsError,
    known,
    known_settings,
)
from assistant.values.setting import printable, quoted


@dataclass(frozen=True, slots=True)
class _Layer:
    """Values from one source; ``label`` names the source of a setting."""

    values: Mapping[str, object]
    label: Callable[[str], str]

    def read(self) -> dict[str, Any]:
        """Read each value as the schema says. Raises SettingsError for a bad one.

        A bad value in a file is refused even if a flag overrides it.
        """
        return {name: self._read(name, value) for name, value in self.values.items()}

    def _read(self, name: str, value: object) -> Any:
        try:
            return SETTABLE[name].read(value)
        except ValueError:
            raise SettingsError(
                f"{name} must be {SETTABLE[name].must_be}, not {quoted(value)} "
                f"({self.label(name)})."
            ) from None


def load(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return settings from the configuration file, the environment and ``overrides`` (the flags).

    Flags that are None were not given. An environment variable that is empty
    counts as not set. ``PHICHAT_HOME`` puts everything of ours into one folder;
    ``PHICHAT_CONFIG`` names another configuration file, which must exist then.
    Unknown variables are left alone: other programs may own them. Raises
    SettingsError for an unknown key or a bad value.
    """
    return load_with_origins(overrides, environ=environ)[0]


def load_with_origins(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """As :func:`load`, with each setting's source: a file, a variable, a flag, "default"."""
    environ = os.environ if environ is None else environ
    places, is_named = find_places(environ)
    origins = dict.fromkeys(SETTABLE, "default")
    values: dict[str, Any] = {}
    for layer in _layers(places["config_file"], is_named, environ, overrides or {}):
        values |= layer.read()
        origins |= {name: layer.label(name) for name in layer.values}
    return Settings(**places).changed(**values), origins


def config_file() -> Path:
    """Return the path of the configuration file, whether it exists or not."""
    places, _ = find_places(os.environ)
    return Path(places["config_file"])


def check_file(path: Path) -> None:
    """Check a configuration file. Raises SettingsError when it can't be used."""
    _Layer(_from_file(path, must_exist=True), lambda _: str(path)).read()


def check_value(name: str, value: object) -> None:
    """Check a value that is no text any more. Raises SettingsError."""
    _Layer({name: value}, lambda _: "as typed").read()


def read_value(name: str, text: str) -> str | int | float | bool | dict[str, str]:
    """Return the value for a configuration file that a user typed. Raises SettingsError."""
    value = _Layer({known(name): text}, lambda _: "as typed").read()[name]
    if words := unknown_name(name, value):
        raise SettingsError(f"{words} (as typed).")
    return "none" if value is None else value


def _layers(
    file: Path, is_named: bool, environ: Mapping[str, str], flags: Mapping[str, object]
) -> Iterator[_Layer]:
    """List the sources, the weakest first."""
    yield _Layer(_from_file(file, must_exist=is_named), lambda _: str(file))
    variables = {name: environ.get(PREFIX + name.upper()) for name in SETTABLE}
    given = {name: text for name, text in variables.items() if text}
    yield _Layer(given, lambda name: PREFIX + name.upper())
    flags = {known(name): value for name, value in flags.items() if value is not None}
    yield _Layer(flags, lambda name: "--" + name.replace("_", "-"))


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """Parse the content of a configuration file. Raises SettingsError, which names the file.

    A mark of the byte order at its beginning, which editors of Windows write, is none of it.
    """
    try:
        if b"\0" in data:  # UTF-16 of plain letters
            raise UnicodeError
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeError as error:
        raise SettingsError(
            f"The configuration file {path} is not UTF-8 text; save it as UTF-8."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"The configuration file {path} is not valid TOML; correct it: {error}."
        ) from error
    except RecursionError:
        raise SettingsError(
            f"The configuration file {path} is nested too deeply; correct it."
        ) from None


def _from_file(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        found = parse(path, path.read_bytes())
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
    for name in found:
        if name not in SETTABLE:
            raise SettingsError(
                f'The configuration file {path} has an unknown key "{printable(name)}": correct '
                f"it, or take it out with “phichat config unset {shlex.quote(printable(name))}”; "
                f"{known_settings()}."
            )
    return found
