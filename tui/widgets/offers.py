"""Offers for what stands before the cursor: slash commands, and files for an @word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.values.text import one_line
from tui.slashes import Slash, matching_slashes
from tui.widgets.completion import MOST_OFFERED, is_folder, last_word, looks_like_picture


@dataclass(frozen=True, slots=True)
class Offer:
    """``text`` replaces ``fragment``, which stands before the cursor."""

    fragment: str
    text: str
    label: str
    about: str = ""
    command: Slash | None = None
    picture: str = ""
    """The path of a picture, which is attached."""

    @property
    def runs(self) -> bool:
        """Whether enter runs the command at once."""
        slash = self.command
        return slash is not None and (
            not slash.whole or self.fragment.lower() in (slash.name, *slash.aliases)
        )


def commands_for(before: str) -> tuple[Offer, ...]:
    """Return the commands that a text, of which all stands ``before`` the cursor, begins."""
    if not before.startswith("/") or any(map(str.isspace, before)):
        return ()
    return tuple(_command(before, slash) for slash in matching_slashes(before))


def file_word(before: str) -> str:
    """Return the @word that ends at the cursor, or ""."""
    word = last_word(before)
    return word if word.startswith("@") else ""


def files_for(word: str) -> tuple[Offer, ...]:
    """Read the pictures and folders that an @word may mean. The disk may hang."""
    return tuple(_files(word))


def _command(before: str, slash: Slash) -> Offer:
    wanted = before.lower()
    by_alias = not slash.name.startswith(wanted)
    alias = next((one for one in slash.aliases if by_alias and one.startswith(wanted)), "")
    label = f"{alias} → {slash.name}" if alias else f"{slash.name} {slash.argument}"
    return Offer(before, f"{slash.name} ", label, slash.does, slash)


def _files(word: str) -> Iterator[Offer]:
    typed = word[1:].replace("\\ ", " ")
    place, slash, beginning = typed.rpartition("/")
    folder = Path(os.path.expanduser(place + slash or "."))
    wanted = beginning.lower()
    try:
        with os.scandir(folder) as entries:
            found = [
                (not entry.name.lower().startswith(wanted), is_folder(entry), entry.name)
                for entry in entries
                if wanted in entry.name.lower()
                and (not entry.name.startswith(".") or beginning.startswith("."))
                and (looks_like_picture(entry.name) or is_folder(entry))
            ]
    except OSError:
        return
    for _, in_folders, name in sorted(found)[:MOST_OFFERED]:
        if in_folders:
            path = f"{place}{slash}{name}/".replace(" ", "\\ ")
            yield Offer(word, f"@{path}", f"{one_line(name, 60)}/", "a folder")
        else:
            picture = os.path.join(os.path.abspath(folder), name)
            yield Offer(word, f"{one_line(name)} ", one_line(name, 60), picture=picture)
