"""Paths of our files: the platform's own folders (XDG), or one folder named by PHICHAT_HOME."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.settings.schema import PREFIX

APP = "phichat"
CONFIG_NAME = "config.toml"


def find_places(environ: Mapping[str, str]) -> tuple[dict[str, Any], bool]:
    """Return the paths, and whether the environment names the configuration file."""
    places = _folders(environ.get(f"{PREFIX}HOME", ""), environ.get("XDG_RUNTIME_DIR", ""))
    if named := environ.get(f"{PREFIX}CONFIG", ""):
        places["config_file"] = _absolute(named)
    return places, bool(named)


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
