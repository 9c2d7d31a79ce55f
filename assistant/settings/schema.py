"""The fields of :class:`Settings` are the whole schema: types, limits, defaults and meanings.

The commented configuration file, ``phichat config``, the settings screen and the sentences
about bad values are all made from it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import Field, JsonValue, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from assistant.values.errors import PhichatError
from assistant.values.formats import MAX_CONTEXT, Dtype, KVFormat, WeightFormat
from assistant.values.sampling import PARAMETERS, default, type_of

PREFIX = "PHICHAT_"


class SettingsError(PhichatError):
    """A setting can't be used; the sentence names it and where it was given."""

    code = "settings"


class TakesEffect(StrEnum):
    """When a changed setting is in force."""

    NOW = "now"
    """With the next message, or at once on the screen."""
    RESTART = "restart"
    """When the engine is started again."""
    START = "start"
    """When phichat is started again."""


def _in(group: str, takes_effect: TakesEffect) -> dict[str, JsonValue]:
    return {"group": group, "takes_effect": takes_effect}


_MODEL = _in("Model", TakesEffect.RESTART)
_MEMORY = _in("Memory", TakesEffect.RESTART)
_REPLIES = _in("Replies", TakesEffect.NOW)
_LOOKS = _in("App", TakesEffect.NOW)
_APP = _in("App", TakesEffect.START)


_SAMPLED = [name for name, about in PARAMETERS.items() if about.highest is not None]


def _field(name: str) -> Any:
    """A sampling parameter as a field of the settings."""
    about = PARAMETERS[name]
    lowest: dict[str, Any] = {"gt" if about.is_above else "ge": about.lowest}
    return Field(
        default(name),
        le=about.highest,
        description=about.meaning,
        json_schema_extra=_REPLIES,
        **lowest,
    )


class Settings(BaseSettings):
    """Everything a person can set, and where our files are; made by :func:`load`.

    A setting that is None is left to the model or to the place that uses it.
    """

    model_config = SettingsConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, env_prefix=PREFIX
    )

    data_dir: Path
    """Conversations."""
    config_file: Path
    """The configuration file, whether it exists or not."""
    cache_dir: Path
    """What can be made again."""
    runtime_dir: Path
    """Sockets and locks of running processes."""

    model: str = Field(
        "demo",
        description="demo, a local folder, a Hugging Face id that is here, or a server's address.",
        json_schema_extra=_MODEL,
    )
    system: str | None = Field(
        None,
        description="What the model is told before every new conversation.",
        json_schema_extra=_REPLIES,
    )
    # The sampling parameters are settings too: one field each, from their table.
    __annotations__ |= {name: type_of(name) for name in _SAMPLED}
    locals().update({name: _field(name) for name in _SAMPLED})

    num_crops: int | None = Field(
        None, ge=1, le=64,
        description="Crops that a picture may be cut into; none: the model's own number.",
        json_schema_extra=_MODEL,
    )  # fmt: skip
    context: int | None = Field(
        None, ge=1, le=MAX_CONTEXT,
        description="Most tokens of conversation and reply together; none: what memory holds.",
        json_schema_extra=_MEMORY,
    )  # fmt: skip
    summaries: bool = Field(
        False,
        description="Have the model sum up, when idle, the turns that no longer fit.",
        json_schema_extra=_REPLIES,
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$",
        description="Where the model runs.",
        examples=["auto", "cpu", "cuda", "cuda:0", "mps"],
        json_schema_extra=_MODEL,
    )
    dtype: Dtype = Field(
        "auto", description="The number format of the model.", json_schema_extra=_MODEL
    )
    weights: WeightFormat = Field(
        "auto",
        description="How the decoder's matrices are held; auto as memory allows, float in dtype.",
        json_schema_extra=_MEMORY,
    )
    kv: KVFormat = Field(
        "auto",
        description="How keys and values are held; auto is float where the context then fits.",
        json_schema_extra=_MEMORY,
    )
    shared_worker: bool = Field(
        True,
        description="Terminals with the same model and settings share one worker process.",
        json_schema_extra=_MODEL,
    )
    keep_alive: int = Field(
        300, ge=0, le=86_400,
        description="Seconds for which a shared worker waits for another terminal.",
        json_schema_extra=_MODEL,
    )  # fmt: skip
    feature_cache_mb: int = Field(
        1024, ge=0, le=1_000_000,
        description="Disk for what was seen in pictures, in MiB; 0 keeps none.",
        json_schema_extra=_MEMORY,
    )  # fmt: skip
    pictures: Literal["auto", "kitty", "sixel", "halfblocks", "text"] = Field(
        "auto",
        description="How the app draws pictures; auto is what the terminal surely can.",
        json_schema_extra=_APP,
    )
    theme: str = Field(
        "phichat-ink",
        description="The app's colours; ctrl+p lists the themes.",
        json_schema_extra=_LOOKS,
    )
    database: str | None = Field(
        None,
        description="Path or URL of the database; none: phichat.db in the data folder.",
        json_schema_extra=_APP,
    )

    presets: dict[str, str] = Field(
        {},
        description="Your own system prompts, by name.",
        json_schema_extra=_LOOKS,
    )
    keys: dict[str, str] = Field(
        {},
        description="Other keys for the app's actions; F1 and the settings screen name them.",
        json_schema_extra=_APP,
    )

    @property
    def store_location(self) -> str:
        """What to give to ``storage.Store.open``."""
        return self.database or str(self.data_dir / "phichat.db")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind anyone's back: :func:`load` knows where each value comes from."""
        return (init_settings,)

    @field_validator("*", mode="before")
    @classmethod
    def _from_text(cls, value: object, info: ValidationInfo) -> object:
        """Variables and flags are text: it is read as the field's type says."""
        assert info.field_name is not None
        kinds = _kinds(cls.model_fields[info.field_name])
        if not isinstance(value, str):
            return value
        if _BROKEN.search(value):
            raise ValueError("bytes that are not UTF-8")
        text = value.strip().lower()
        if type(None) in kinds and text == "none":
            return None
        if not text:
            raise ValueError("empty")
        if is_table(info.field_name):
            return _table(value)
        if bool in kinds:
            return {"1": True, "true": True, "0": False, "false": False}.get(text, value)
        if int in kinds:
            return int(text) if _WHOLE.fullmatch(text) else value
        return float(text) if float in kinds else value


def _table(text: str) -> object:
    """A table as a configuration file has it on one line; ``text`` itself when it is none."""
    try:
        found = tomllib.loads(f"table = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["table"] if len(found) == 1 else text


_WHOLE = re.compile("[+-]?[0-9]+", re.ASCII)
_BROKEN = re.compile("[\ud800-\udfff]")
"""What the environment holds for bytes that are no UTF-8."""

_PLACES = ("data_dir", "config_file", "cache_dir", "runtime_dir")

SETTABLE: Mapping[str, FieldInfo] = {
    name: field for name, field in Settings.model_fields.items() if name not in _PLACES
}
"""What a person can set; each has a ``default`` and a ``description``."""


def known(name: str) -> str:
    """``name``, if there is such a setting. Raises SettingsError."""
    if name not in SETTABLE:
        raise SettingsError(f'There is no setting "{printable(name)}"; {known_settings()}.')
    return name


def group_of(name: str) -> str:
    """The heading under which a setting is shown."""
    return str(_extra(name)["group"])


def takes_effect(name: str) -> TakesEffect:
    """When a change of a setting is in force."""
    return TakesEffect(str(_extra(name)["takes_effect"]))


def choices(name: str) -> tuple[str, ...]:
    """The values that a setting is chosen from, or those that come to mind; () for any other."""
    field = SETTABLE[name]
    if bool in _kinds(field):
        return ("true", "false")
    return () if is_table(name) else tuple(field.examples or _choices(field))


def is_table(name: str) -> bool:
    """Whether a setting is a table of names and texts."""
    return get_origin(SETTABLE[name].annotation) is dict


def shown(value: object) -> str:
    """A value as a person types it."""
    if isinstance(value, Mapping):
        return ", ".join(value) or "none"
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _extra(name: str) -> Mapping[str, JsonValue]:
    extra = SETTABLE[name].json_schema_extra
    assert isinstance(extra, dict), f"the setting {name} has no group"
    return extra


def must_be(name: str) -> str:
    """The words for what a setting may be, from the schema."""
    field = SETTABLE[name]
    if is_table(name):
        return 'a table of texts like {name="text"}'
    kinds = _kinds(field)
    if choices := list(field.examples or _choices(field)):
        return f"{', '.join(map(quoted, choices[:-1]))} or {quoted(choices[-1])}"
    if str in kinds:
        return "text"
    if bool in kinds:
        return "true or false"
    limits = {type(one): one for one in field.metadata}
    number, highest = "a whole number" if int in kinds else "a number", limits[Le].le
    if Gt in limits:
        return f"{number} above {limits[Gt].gt}, up to {highest}"
    return f"{number} from {limits[Ge].ge} to {highest}"


def _choices(field: FieldInfo) -> tuple[Any, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    """The types that a field's value may have."""
    return (str,) if _choices(field) else get_args(field.annotation) or (field.annotation,)


def known_settings() -> str:
    """The words that name every setting."""
    return f"the settings are {', '.join(SETTABLE)}"


def quoted(value: object) -> str:
    """A value as it stands in a message."""
    return f'"{printable(value)}"' if isinstance(value, str) else printable(repr(value))


def printable(text: str) -> str:
    """A word in a message: short, and without anything that a terminal would obey."""
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return text if len(text) <= 60 else text[:59] + "…"
