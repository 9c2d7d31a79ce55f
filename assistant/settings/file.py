"""The configuration file: written with comments from the schema, changed one setting at a time."""

from __future__ import annotations

import codecs
import os
import re
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Item, Table

from assistant.settings.load import parse
from assistant.settings.schema import PREFIX, SETTABLE, SettingsError, known

Value = str | int | float | bool | dict[str, str]

_HEADING = f"""\
# Settings of phichat. Take the # away from a line to change its setting.
# Environment variables ({PREFIX}MODEL and so on) and flags go before this file.
# “phichat config show” tells what is in force and where each value comes from.
"""


def template() -> str:
    """Return a configuration file with every setting, its meaning and default, commented out."""
    return _HEADING + "".join(f"\n{_explained(name)}{_default_line(name)}\n" for name in SETTABLE)


def write_template(path: Path) -> None:
    """Write :func:`template` where there is no file yet. Raises SettingsError."""
    _change(path, lambda text: text)


def write_setting(path: Path, name: str, value: Value) -> None:
    """Set ``name`` in the file, which is made if it is missing; the rest stays as it is.

    A commented line of the setting gives its place. The value is one that
    :func:`assistant.settings.load.load` has accepted. The file is replaced as a
    whole, so a full disk or a kill leaves the old one. Raises SettingsError.
    """

    def changed(text: str) -> str:
        document = tomlkit.parse(text)
        line = _line(name, value)
        if name not in document:
            pattern = rf"(?m)^#[ \t]*{name}[ \t]*=.*$"
            placed = re.sub(pattern, lambda _: line, text, count=1)
            # it may have stood in the middle of a text of several lines
            if _values(placed) == {**document.unwrap(), name: value}:
                return placed
        if isinstance(value, dict) and isinstance(document.get(name), Table):
            table = document[name]
            for key in set(table) - set(value):
                del table[key]
            table.update(value)
        else:
            document[name] = _item(value)
        return tomlkit.dumps(document)

    _change(path, changed)


def remove_setting(path: Path, name: str) -> None:
    """Take ``name`` out of the file, if it is there: its default stands there as a comment.

    A key that is no setting is taken out, too. Raises SettingsError where the file has none.
    """
    stand_in = "4f2d9c-removed"

    def changed(text: str) -> str:
        document = tomlkit.parse(text)
        if name not in document:
            known(name)
            return text
        if name not in SETTABLE or isinstance(document[name], (Table, AoT, OutOfOrderTableProxy)):
            del document[name]
            return tomlkit.dumps(document)
        document[name] = stand_in
        pattern = rf'(?m)^.*"{stand_in}".*$'
        return re.sub(pattern, lambda _: _default_line(name), tomlkit.dumps(document), count=1)

    if os.path.exists(path):
        _change(path, changed)
    else:
        known(name)


def _explained(name: str) -> str:
    field = SETTABLE[name]
    words = field.description
    if (limits := field.must_be) != "text":
        words = f"{words.removesuffix('.')} ({limits})."
    return textwrap.fill(words, 88, initial_indent="# ", subsequent_indent="# ") + "\n"


def _default_line(name: str) -> str:
    default = SETTABLE[name].default
    return f"# {_line(name, 'none' if default is None else default)}"


def _line(name: str, value: Value) -> str:
    return f"{name} = {_item(value).as_string()}"


def _item(value: Value) -> Item:
    """Make a TOML item; a table on one line, in place of its commented line."""
    if not isinstance(value, dict):
        return tomlkit.item(value)
    table = tomlkit.inline_table()
    table.update(value)
    return table


def _values(text: str) -> dict[str, object] | None:
    """Parse TOML; None for a text that is none."""
    try:
        return tomlkit.parse(text).unwrap()
    except TOMLKitError:
        return None


def _change(path: Path, changed: Callable[[str], str]) -> None:
    """Replace the file, or the template where there is none, by what ``changed`` makes of it."""
    path = path.resolve()  # the file that a link names, not the link, is replaced
    try:
        data = path.read_bytes() if os.path.exists(path) else template().encode()
        parse(path, data)
        _replace(path, _with_own_lines(data, changed))
    except TOMLKitError as error:  # what the parser of settings takes, and this one does not
        raise SettingsError(
            f"The configuration file {path} can't be changed; correct it: {error}."
        ) from error
    except OSError as error:
        raise SettingsError(
            f"The configuration file {path} can't be written ({error.strerror}); check its "
            "permissions and the disk."
        ) from error


def _with_own_lines(data: bytes, changed: Callable[[str], str]) -> bytes:
    """Change a text that keeps its mark of the byte order, and its line ends of Windows."""
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    text = data.removeprefix(mark).decode("utf-8")
    if "\r\n" not in text or text.count("\n") != text.count("\r\n"):
        return mark + changed(text).encode()
    return mark + changed(text.replace("\r\n", "\n")).replace("\n", "\r\n").encode()


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if os.path.exists(path) else 0o600
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(new, mode)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
