"""Writes one setting into the configuration file and leaves the rest as a person wrote it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from assistant.settings import SettingsError


def write_setting(path: Path, name: str, value: str | int | float | bool) -> None:
    """Set ``name`` in the file, which is made if it is not there; comments and order stay.

    The value is one that :func:`assistant.settings.load` has accepted. The file is replaced
    as a whole, so a full disk or a kill leaves the old one. Raises SettingsError.
    """
    path = path.resolve()  # the file that a link names, not the link, is replaced
    try:
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
        document = tomlkit.parse(text)
        document[name] = value
        _replace(path, tomlkit.dumps(document))
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The configuration file {path} is not UTF-8 text; save it as UTF-8."
        ) from error
    except TOMLKitError as error:
        raise SettingsError(
            f"The configuration file {path} is not valid TOML; correct it: {error}."
        ) from error
    except OSError as error:
        raise SettingsError(
            f"The configuration file {path} can't be written ({error.strerror}); check its "
            "permissions and the disk."
        ) from error


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(new, mode)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
