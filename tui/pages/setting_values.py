"""Settings as text: their choices, and writing them into the configuration file.

All of it runs in threads; the file keeps its comments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from assistant.settings.load import check_value, read_value
from assistant.settings.schema import SETTABLE, Settings, SettingsError
from assistant.values.text import one_line
from tui.keys import KEYS_BY_NAME
from tui.pages.system_presets import presets
from tui.themes import AUTO_THEME


def choices(settings: Settings, name: str, themes: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the choices of a setting: words, and the text that each stands for."""
    if name == "system":
        return tuple(presets(settings).items())
    if name == "theme":
        return tuple((one, one) for one in (AUTO_THEME, *sorted(themes)))
    if SETTABLE[name].is_table:
        table: Mapping[str, str] = settings.value(name)
        if name == "keys":
            table = {**KEYS_BY_NAME, **table}
        elif name == "thinking_models":
            table = {settings.model: settings.sampling.thinking, **table}
        return tuple((f"{key} = {text}", f"{key} = {text}") for key, text in table.items())
    return tuple((one, one) for one in SETTABLE[name].choices)


def write(settings: Settings, name: str, text: str) -> Settings:
    """Write a setting, or one entry of a table; return the settings as they are in the file then.

    Raises SettingsError for a text that is no such value.
    """
    from assistant.settings.file import write_setting  # its library is for this alone

    if SETTABLE[name].is_table:
        value = changed_table(settings.value(name), text)
        added = set(value) - set(settings.value(name))
        if name == "keys" and (unknown := added - set(KEYS_BY_NAME)):
            words = f'There is no action "{one_line(min(unknown), 40)}"'
            raise SettingsError(f"{words}: choose one of the list.")
        check_value(name, value)
        write_setting(settings.config_file, name, value)
        return settings.changed(**{name: value})
    plain_value = read_value(name, text)
    write_setting(settings.config_file, name, plain_value)
    is_none = plain_value == "none" and name not in ("model", "theme")
    return settings.changed(**{name: None if is_none else plain_value})


def remove(settings: Settings, name: str) -> Settings:
    """Remove a setting from the file; return the settings that hold then."""
    from assistant.settings.file import remove_setting

    remove_setting(settings.config_file, name)
    return settings.changed(**{name: SETTABLE[name].default})


def changed_table(table: Mapping[str, str], entry: str) -> dict[str, str]:
    """Set an entry by ``name = text``, remove it by ``name =``. Raises SettingsError."""
    name, equals, text = (part.strip() for part in entry.partition("="))
    if not (name and equals):
        raise SettingsError("Type a name, =, and a text; nothing after = takes it out.")
    return dict(_entries(table, name, text))


def _entries(table: Mapping[str, str], name: str, text: str) -> Iterator[tuple[str, str]]:
    yield from ((key, value) for key, value in table.items() if key != name)
    if text:
        yield name, text
