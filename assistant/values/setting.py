"""Settings: type, limits, default, description and names, for every layer that offers them."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin, get_type_hints

from assistant.values.text import masked, plain_json

_WHOLE = re.compile("[+-]?[0-9]+", re.ASCII)
_BARE = re.compile("[A-Za-z0-9_-]+")
_BROKEN = re.compile("[\ud800-\udfff]")
"""Lone surrogates: what the environment holds for bytes that are no UTF-8."""


class TakesEffect(StrEnum):
    """The moment from which a changed setting is in force."""

    NOW = "now"
    """With the next message, or at once on the screen."""
    RESTART = "restart"
    """With the next start of the engine."""
    START = "start"
    """With the next start of phichat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of a table of settings; :func:`table_of` fills in ``name`` and ``type``.

    ``lowest`` to ``highest`` are the limits of a number; ``is_above`` refuses the lowest itself.
    ``examples`` are values to choose from where ``pattern`` allows others. ``option`` is the help
    text of its command-line option ("": no option) and ``metavar`` what stands for a value there.

    Of a sampling parameter, ``request`` is its field in a request to an OpenAI-compatible server,
    ``instead`` the field that a server may want in its place. ``only_if_set`` leaves it out of
    the request at its default, because OpenAI refuses fields of other servers' dialects.
    """

    name: str = ""
    type: Any = str
    default: Any
    description: str
    group: str = ""
    takes_effect: TakesEffect = TakesEffect.NOW
    lowest: int = 0
    highest: int | None = None
    is_above: bool = False
    pattern: str = ""
    examples: tuple[str, ...] = ()
    option: str = ""
    metavar: str = ""
    request: str = ""
    instead: str = ""
    only_if_set: bool = False

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that a value may have."""
        if get_origin(self.type) in (Literal, dict, tuple):
            return (str if get_origin(self.type) is Literal else get_origin(self.type),)
        return get_args(self.type) or (self.type,)

    @property
    def number(self) -> type[int] | type[float] | None:
        """The type of its numbers; None for a setting that is no number."""
        kinds = self.kinds
        return float if float in kinds else int if int in kinds else None

    @property
    def is_table(self) -> bool:
        return dict in self.kinds

    @property
    def choices(self) -> tuple[str, ...]:
        """The values to choose from, or the most usual ones; () for any other setting."""
        if get_origin(self.type) is Literal:
            return get_args(self.type)
        return ("true", "false") if bool in self.kinds else self.examples

    @property
    def must_be(self) -> str:
        """The values that it takes, in words."""
        if self.is_table:
            return f'a table of texts like {{name="{(*self.examples, "text")[0]}"}}'
        if bool in self.kinds:
            return "true or false"
        if self.choices:
            *others, last = map(quoted, self.choices)
            return f"{', '.join(others)} or {last}"
        if self.number is None:
            return "text"
        number = "a whole number" if self.number is int else "a number"
        if self.is_above:
            return f"{number} above {self.lowest}, up to {self.highest}"
        return f"{number} from {self.lowest} to {self.highest}"

    def read(self, value: object) -> Any:
        """Read a value of a file, a variable or a flag as this type. Raises ValueError."""
        if isinstance(value, str):
            value = self._parse(value)
        if self.number is float and type(value) is int:
            value = float(value)
        if type(value) not in self.kinds:
            raise ValueError("the wrong type")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert self.highest is not None, f"the setting {self.name} has no limits"
            is_low = value <= self.lowest if self.is_above else value < self.lowest
            if is_low or value > self.highest or not math.isfinite(value):
                raise ValueError("out of range")
        if isinstance(value, dict) and not all(type(text) is str for text in value.values()):
            raise ValueError("no table of texts")
        texts = value.values() if isinstance(value, dict) else (str(value),)
        if get_origin(self.type) is Literal and value not in self.choices:
            raise ValueError("none of the choices")
        if self.pattern and not all(re.fullmatch(self.pattern, text) for text in texts):
            raise ValueError("another form")
        return value

    def _parse(self, text: str) -> object:
        """Read text as the type says; text that is no such value stays text."""
        if _BROKEN.search(text):
            raise ValueError("bytes that are not UTF-8")
        word = text.strip().lower()
        if type(None) in self.kinds and word == "none":
            return None
        if not word:
            raise ValueError("empty")
        if self.is_table:
            return _table(text)
        if bool in self.kinds:
            return {"1": True, "true": True, "0": False, "false": False}.get(word, text)
        if self.number is int:
            return int(word) if _WHOLE.fullmatch(word) else text
        return text if self.number is None else float(word)


def setting(default: Any, description: str = "", **about: Any) -> Any:
    """Declare a dataclass field that is a setting; ``about`` are fields of :class:`Setting`."""
    metadata = {"setting": Setting(default=default, description=description, **about)}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def table_of(kind: type) -> dict[str, Setting]:
    """Return the settings among a dataclass's fields, by name and in order."""
    types = get_type_hints(kind)
    return {
        one.name: replace(one.metadata["setting"], name=one.name, type=types[one.name])
        for one in fields(kind)
        if "setting" in one.metadata
    }


def shown(value: object) -> str:
    """Write a value as a user types it, without the password of an address."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def as_typed(table: Mapping[str, str]) -> str:
    """Write a table on one line, as a configuration file and ``config set`` take it."""
    pairs = (
        f"{key if _BARE.fullmatch(key) else _toml(key)} = {_toml(text)}"
        for key, text in table.items()
    )
    return f"{{{', '.join(pairs)}}}"


def _toml(text: str) -> str:
    """Write a TOML string that a terminal shows and does not obey; JSON's are such."""
    return plain_json(json.dumps(masked(text), ensure_ascii=False))


def quoted(value: object) -> str:
    """Write a value as it stands in a message."""
    return f'"{printable(value)}"' if isinstance(value, str) else printable(repr(value))


def printable(text: str) -> str:
    """Shorten a text for a message, without characters that a terminal would obey."""
    text = masked(text) if "://" in text else text
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return text if len(text) <= 60 else text[:59] + "…"


def _table(text: str) -> object:
    """Read a table as a configuration file has it on one line; ``text`` itself if it is none."""
    try:
        found = tomllib.loads(f"table = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["table"] if len(found) == 1 else text
