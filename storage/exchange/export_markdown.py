"""A conversation as Markdown, with its pictures beside it.

What was said is quoted line by line: whatever it contains, fences and headings
too, it can't end its own turn or begin another.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from assistant.values.conversation import Conversation, Picture, Turn
from assistant.values.text import plain
from storage.exchange.files import replacing
from storage.exchange.outline import Entry, PictureData, caption, entries, facts, moment, title

LinkOf = Callable[[Picture], str | None]
"""Address of a picture, as seen from the document; None when it has none."""

_SPECIAL = re.compile(r"([\\`*_\[\]<>&#~|!$])")
_SUFFIXES = {"image/jpeg": ".jpg", "image/svg+xml": ".svg"}


def write(
    conversation: Conversation, every_turn: tuple[Turn, ...], link_of: LinkOf
) -> Iterator[str]:
    """Write the document in pieces; ``every_turn`` adds turns of other branches (() for none)."""
    yield f"# {_inline(title(conversation))}\n\n"
    yield " · ".join(f"{name}: {_inline(value)}" for name, value in facts(conversation)) + "\n\n"
    if conversation.system:
        yield "System prompt:\n\n" + _quoted(conversation.system)
    if conversation.summary is not None:
        yield "Summary of earlier turns:\n\n" + _quoted(conversation.summary.text)
    others = False
    for entry in entries(conversation, every_turn):
        if entry.other and not others:
            others = True
            yield "# Other versions\n\n"
        yield from _turn(entry, link_of)


def write_file(
    path: Path,
    conversation: Conversation,
    every_turn: tuple[Turn, ...],
    picture_data: PictureData,
    *,
    overwrite: bool,
) -> None:
    """Write the document to ``path`` and its pictures to ``NAME_pictures/`` beside it.

    Raises StorageError; existing files are replaced only with ``overwrite``.
    """
    folder = path.with_name(f"{path.stem}_pictures")
    with replacing(path, overwrite=overwrite) as unfinished:
        shown = {p.number: p for turn in (*conversation.turns, *every_turn) for p in turn.pictures}
        new = bool(shown) and not os.path.exists(folder)
        try:
            if new:
                folder.mkdir(mode=0o700)
            for picture in shown.values():
                with replacing(folder / _file_name(picture), overwrite=overwrite) as file:
                    file.write_bytes(picture_data(picture.sha256))
            with unfinished.open("w", encoding="utf-8", newline="\n") as text:
                link = quote(folder.name, errors="surrogateescape")
                text.writelines(
                    write(conversation, every_turn, lambda p: f"{link}/{_file_name(p)}")
                )
        except BaseException:
            if new:
                shutil.rmtree(folder, ignore_errors=True)
            raise


def _turn(entry: Entry, link_of: LinkOf) -> Iterator[str]:
    turn = entry.turn
    yield f"## {entry.number} · {entry.speaker} · {moment(turn.created)}\n\n"
    if remarks := entry.remarks:
        yield f"({_inline(', '.join(remarks))})\n\n"
    for picture in turn.pictures:
        words, link = _inline(caption(picture)), link_of(picture)
        yield f"({words})\n\n" if link is None else f"![{words}](<{link}>)\n\n"
    if turn.text:
        yield _quoted(turn.text)


def _quoted(text: str) -> str:
    lines = plain(text).split("\n")
    return "".join(f"> {line}\n" if line else ">\n" for line in lines) + "\n"


def _inline(text: str) -> str:
    """Text on one line that shows as it is."""
    return _SPECIAL.sub(r"\\\1", text)


def _file_name(picture: Picture) -> str:
    """Made of what is ours alone: the names that pictures came with can be anything."""
    kind = re.sub("[^a-z0-9]", "", picture.media_type.partition("/")[2])[:8]
    return f"picture-{picture.number}{_SUFFIXES.get(picture.media_type, f'.{kind}')}"
