"""One settings object: defaults < configuration file < PHICHAT_* environment < flags."""

from assistant.settings.load import (
    check_file,
    config_file,
    load,
    load_with_origins,
    read_value,
)
from assistant.settings.paths import APP, CONFIG_NAME
from assistant.settings.schema import (
    PREFIX,
    SETTABLE,
    Settings,
    SettingsError,
    TakesEffect,
    choices,
    group_of,
    is_table,
    known,
    must_be,
    shown,
    takes_effect,
)

__all__ = [
    "APP",
    "CONFIG_NAME",
    "PREFIX",
    "SETTABLE",
    "Settings",
    "SettingsError",
    "TakesEffect",
    "check_file",
    "choices",
    "config_file",
    "group_of",
    "is_table",
    "known",
    "load",
    "load_with_origins",
    "must_be",
    "read_value",
    "shown",
    "takes_effect",
]
