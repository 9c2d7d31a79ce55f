"""The settings: one table of types, limits, defaults and meanings.

The configuration file, ``phichat config``, the options of commands, the variables, the settings
page and the sentences about bad values are all made from the fields of :class:`Settings`.
"""
# ruff: noqa: RUF009  (the functions below make fields)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from assistant.values.errors import PhichatError
from assistant.values.sampling import MAX_CONTEXT, PARAMETERS, Sampling, Thinking
from assistant.values.setting import Setting, TakesEffect, printable, setting, table_of

PREFIX = "PHICHAT_"


class SettingsError(PhichatError):
    """A setting can't be used; the sentence names it and where it was given."""

    code = "settings"


Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Format = Literal["auto", "float", "int8", "int4"]
Graphics = Literal["auto", "kitty", "sixel", "halfblocks", "text"]

_model = partial(setting, group="Model", takes_effect=TakesEffect.RESTART)
_memory = partial(setting, group="Memory", takes_effect=TakesEffect.RESTART)
_replies = partial(setting, group="Replies")
_looks = partial(setting, group="App")
_app = partial(setting, group="App", takes_effect=TakesEffect.START)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, and the places of our files; made by :func:`assistant.settings.load.load`.

    A setting that is None is left to the model or to the place that uses it.
    """

    data_dir: Path
    """Conversations."""
    config_file: Path
    """The configuration file, whether it exists or not."""
    cache_dir: Path
    """Files that can be made again."""
    runtime_dir: Path
    """Sockets and locks of running processes."""

    model: str = _model(
        "demo", "demo, a local folder, a Hugging Face id that is here, or a server's address.",
        option="“demo”, a model folder, a Hugging Face id, or http(s)://… for a server.",
        metavar="MODEL",
    )  # fmt: skip
    system: str | None = _replies(None, "What the model is told before every new chat.")
    sampling: Sampling = field(default_factory=Sampling)
    """Each sampling parameter with a group is a setting, too."""
    thinking_models: dict[str, str] = _replies(
        {}, "The same for single models, by name; it goes before thinking.",
        pattern="off|on|low|medium|high", examples=get_args(Thinking),
    )  # fmt: skip
    num_crops: int | None = _model(
        None, "Crops that a picture may be cut into; none: the model's own number.",
        lowest=1, highest=64,
    )  # fmt: skip
    context: int | None = _memory(
        None, "Most tokens of chat and reply together; none: what memory holds.",
        lowest=1, highest=MAX_CONTEXT,
        option="Most tokens of chat and reply together.", metavar="N",
    )  # fmt: skip
    summaries: bool = _replies(
        False, "Have the model sum up, when idle, the turns that no longer fit."
    )
    device: str = _model(
        "auto", "Where the model runs.", pattern="auto|cpu|mps|cuda(:[0-9]+)?",
        examples=("auto", "cpu", "cuda", "cuda:0", "mps"),
    )  # fmt: skip
    dtype: Dtype = _model("auto", "The number format of the model.")
    weights: Format = _memory(
        "auto", "How the decoder's matrices are held; auto as memory allows, float in dtype.",
        option="How the model's matrices are held; int8 takes half of bfloat16.",
    )  # fmt: skip
    kv: Format = _memory(
        "auto", "How keys and values are held; auto is float where the context then fits.",
        option="How keys and values are held; int8 holds twice the tokens, int4 three times.",
    )  # fmt: skip
    shared_worker: bool = _model(
        True, "Terminals with the same model and settings share one worker process."
    )
    keep_alive: int = _model(
        300, "Seconds for which a shared worker waits for another terminal.", highest=86_400
    )
    feature_cache_mb: int = _memory(
        1024, "Disk for what was seen in pictures, in MiB; 0 keeps none.", highest=1_000_000
    )
    pictures: Graphics = _app(
        "auto", "How the app draws pictures; auto is what the terminal surely can."
    )
    theme: str = _looks("auto", "The app's colours; auto: as light or dark as the terminal.")
    database: str | None = _app(
        None, "Path or URL of the database; none: phichat.db in the data folder."
    )
    presets: dict[str, str] = _looks({}, "Your own system prompts, by name.")
    keys: dict[str, str] = _app(
        {}, "Other keys for the app's actions; F1 and the settings screen name them."
    )

    @property
    def store_location(self) -> str:
        """The argument for ``storage.store.Store.open``."""
        return self.database or str(self.data_dir / "phichat.db")

    def value(self, name: str) -> Any:
        """Return a setting by name."""
        return getattr(self.sampling if name in PARAMETERS else self, name)

    def changed(self, **values: Any) -> Settings:
        """Copy with other values, which are not checked."""
        sampled = {name: values.pop(name) for name in values.keys() & PARAMETERS.keys()}
        return replace(self, **values, sampling=replace(self.sampling, **sampled))


def settable(kind: type[Settings]) -> dict[str, Setting]:
    """Return every setting of a schema by name, the sampling parameters in their place."""
    table = table_of(kind)
    sampled = {name: one for name, one in PARAMETERS.items() if one.group}
    found: dict[str, Setting] = {}
    for one in fields(kind):
        found |= sampled if one.name == "sampling" else {}
        found |= {one.name: table[one.name]} if one.name in table else {}
    return found


SETTABLE: Mapping[str, Setting] = settable(Settings)


def known(name: str) -> str:
    """Return ``name``, if there is such a setting. Raises SettingsError."""
    if name not in SETTABLE:
        raise SettingsError(f'There is no setting "{printable(name)}"; {known_settings()}.')
    return name


def known_settings() -> str:
    """Name every setting, as part of a sentence."""
    return f"the settings are {', '.join(SETTABLE)}"
