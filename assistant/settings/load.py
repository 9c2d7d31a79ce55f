"""Where settings come from: defaults < configuration file < PHICHAT_* environment < flags."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from assistant.settings.paths import find_places
from assistant.settings.schema import (
    PREFIX,
    SETTABLE,
    Settings,
    SettingsError,
    known,
    known_settings,
    must_be,
    printable,
    quoted,
)


class _Environment(EnvSettingsSource):
    """The variables of an environment, as the text that they are; empty counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Settings)
        known = {PREFIX + name.upper() for name in SETTABLE}
        self.env_vars = {
            name.lower(): text for name, text in environ.items() if text and name in known
        }

    def prepare_field_value(
        self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool
    ) -> Any:
        """The schema reads it."""
        return value


@dataclass(frozen=True, slots=True)
class _Layer:
    """Values from one source; ``label`` names the source of a setting."""

    values: Mapping[str, Any]
    label: Callable[[str], str]


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
    return load_with_origins(overrides, environ=environ)[0]


def load_with_origins(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """As :func:`load`, and where each setting comes from: a file, a variable, a flag, "default"."""
    environ = os.environ if environ is None else environ
    places, is_named = find_places(environ)
    origins = dict.fromkeys(SETTABLE, "default")
    values: dict[str, Any] = {}
    for layer in _layers(places["config_file"], is_named, environ, overrides or {}):
        _checked(places, layer)
        values |= layer.values
        origins |= {name: layer.label(name) for name in layer.values}
    return Settings(**places, **values), origins


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where the configuration file is or would be, whatever is in it."""
    places, _ = find_places(os.environ if environ is None else environ)
    return Path(places["config_file"])


def check_file(path: Path) -> None:
    """Raises SettingsError when ``path`` is no configuration file that can be used."""
    _checked(
        find_places(os.environ)[0], _Layer(_from_file(path, must_exist=True), lambda _: str(path))
    )


def read_value(name: str, text: str) -> str | int | float | bool | dict[str, str]:
    """What a configuration file holds for a setting that a person typed. Raises SettingsError."""
    layer = _Layer({known(name): text}, lambda _: "as typed")
    value = getattr(_checked(find_places(os.environ)[0], layer), name)
    return "none" if value is None else value


def _layers(
    file: Path, is_named: bool, environ: Mapping[str, str], flags: Mapping[str, object]
) -> Iterator[_Layer]:
    """The sources, the weakest first."""
    yield _Layer(_from_file(file, must_exist=is_named), lambda _: str(file))
    yield _Layer(_Environment(environ)(), lambda name: PREFIX + name.upper())
    given = {known(name): value for name, value in flags.items() if value is not None}
    yield _Layer(given, lambda name: "--" + name.replace("_", "-"))


def _checked(places: Mapping[str, Any], layer: _Layer) -> Settings:
    """The settings of one source: what is wrong in a file is told even if a flag goes before it."""
    try:
        return Settings(**places, **layer.values)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise SettingsError(
            f"{name} must be {must_be(name)}, not {quoted(layer.values[name])} "
            f"({layer.label(name)})."
        ) from None


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
        if name not in SETTABLE:
            raise SettingsError(
                f'The configuration file {path} has an unknown key "{printable(name)}"; '
                f"{known_settings()}."
            )
    return found
