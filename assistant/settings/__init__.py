"""One settings object: defaults < configuration file < PHICHAT_* environment < flags."""

from assistant.settings.load import (
    check_file,
    check_value,
    config_file,
    load,
    load_with_origins,
    read_value,
)
from assistant.settings.paths import APP, CONFIG_NAME
from assistant.settings.schema import PREFIX, SETTABLE, Settings, SettingsError, known
from assistant.values.setting import Setting, TakesEffect, shown

__all__ = [
    "APP",
    "CONFIG_NAME",
    "PREFIX",
    "SETTABLE",
    "Setting",
    "Settings",
    "SettingsError",
    "TakesEffect",
    "check_file",
    "check_value",
    "config_file",
    "known",
    "load",
    "load_with_origins",
    "read_value",
    "shown",
]
