"""Conversations from the database of the ``llm`` command (https://llm.datasette.io).

Ids are made from llm's own, so that a second import finds what the first one
stored. Pictures come from the database, or from the path they were attached
from if it still leads to a picture; addresses are never fetched.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.values.conversation import FinishReason, PictureFile, Role, TurnKind
from assistant.values.errors import PictureError, StorageError
from assistant.values.text import one_line
from storage.exchange.document import (
    ParametersPart,
    SessionPart,
    SessionPicturePart,
    TurnPart,
    UsagePart,
)
from storage.exchange.import_sessions import Pictures
from storage.exchange.llm_rows import Conversation, Reader, Row, connect, text_of
from storage.ids import ALPHABET, title_of
from storage.pictures import OpenPicture


@dataclass(frozen=True, slots=True)
class Logs:
    """Sessions that were read, their pictures, and a sentence for all that is left out."""

    sessions: tuple[SessionPart, ...]
    pictures: Pictures
    left_out: tuple[str, ...]


def read(path: Path, open_picture: OpenPicture) -> Logs:
    """Read all conversations of a logs database. Raises StorageError, one sentence."""
    name = one_line(path.name, 80)
    try:
        with closing(connect(path)) as connection:
            reader = Reader(connection, name)
            conversations = reader.conversations()
            gallery = _Gallery(reader, open_picture)
            sessions = tuple(_session(one, gallery) for one in conversations if one.messages)
            return Logs(sessions, gallery.opened, _left_out(reader.left_out + gallery.left_out))
    except (sqlite3.Error, KeyError) as error:  # KeyError: a column that is not there
        raise StorageError(
            f"{name} can't be read as the logs database of llm ({one_line(str(error), 120)}); "
            "get another copy of it.",
            code="import",
        ) from error


class _Gallery:
    """Pictures of attachments, each opened once."""

    def __init__(self, reader: Reader, open_picture: OpenPicture) -> None:
        self._reader = reader
        self._open = open_picture
        self._by_attachment: dict[str, PictureFile | None] = {}
        self.opened: dict[str, PictureFile] = {}
        self.left_out: Counter[str] = Counter()

    def picture(self, attachment_id: str) -> PictureFile | None:
        if attachment_id not in self._by_attachment:
            file = self._opened(self._reader.attachment(attachment_id) or {})
            self._by_attachment[attachment_id] = file
            if file is not None:
                self.opened.setdefault(file.sha256, file)
        return self._by_attachment[attachment_id]

    def _opened(self, row: Row) -> PictureFile | None:
        content, path = row.get("content"), text_of(row.get("path"))
        media_type = text_of(row.get("type"))
        if media_type and not media_type.startswith("image/"):
            self.left_out["others"] += 1
        elif isinstance(content, bytes) and content:
            try:
                suffix = media_type.partition("/")[2] or "picture"
                return self._open(content, name=f"attachment.{suffix}")
            except PictureError:
                self.left_out["others"] += 1
        elif path:
            try:
                return self._open(Path(path))
            except PictureError:
                self.left_out["paths"] += 1
        elif text_of(row.get("url")):
            self.left_out["urls"] += 1
        else:
            self.left_out["paths"] += 1
        return None


def _session(one: Conversation, gallery: _Gallery) -> SessionPart:
    ids = {key: _derived_id(f"turn\0{one.id}\0{key}", 16) for key in one.messages}
    pictures: list[SessionPicturePart] = []
    turns: list[TurnPart] = []
    for message in one.messages.values():
        numbers: list[int] = []
        for attachment_id in message.attachments:
            if (file := gallery.picture(attachment_id)) is not None:
                numbers.append(len(pictures) + 1)
                pictures.append(
                    SessionPicturePart(
                        number=numbers[-1],
                        name=file.name,
                        sha256=file.sha256,
                        num_crops=None,
                        pinned=False,
                    )
                )
        turns.append(
            TurnPart(
                id=ids[message.key],
                parent=None if message.parent is None else ids[message.parent],
                role=message.role,
                kind=TurnKind.MESSAGE,
                text=message.text,
                created=message.created,
                pinned=False,
                excluded=False,
                pictures=tuple(numbers),
                token_ids=None,
                finish_reason=FinishReason.STOP if message.role is Role.ASSISTANT else None,
                model=message.model,
                usage=None if message.usage is None else UsagePart(**asdict(message.usage)),
                timings=None,
                parameters=None,
            )
        )
    moments = [turn.created for turn in turns]
    first = next((turn.text for turn in turns if turn.text), "")
    return SessionPart(
        id=_derived_id(f"session\0{one.id}", 12),
        title=title_of(one.name) or title_of(first) or "New chat",
        created=min(moments),
        updated=max(moments),
        model=one.model or None,
        system=one.system,
        pinned=False,
        parameters=ParametersPart(**dict.fromkeys(ParametersPart.model_fields)),
        summary=None,
        draft=None,
        head=None if one.head is None else ids[one.head],
        pictures=tuple(pictures),
        turns=tuple(turns),
    )


def _derived_id(words: str, length: int) -> str:
    """Derive the same id from the same words: 5 bits a character of their SHA-256."""
    digest = hashlib.sha256(words.encode("utf-8", "replace")).digest()
    return "".join(ALPHABET[byte & 31] for byte in digest[:length])


_NOT_TAKEN = {
    "urls": "pictures that are only addresses, which are never fetched",
    "paths": "attachments that are no longer where they were, or are no pictures",
    "others": "attachments that are no pictures",
    "tools": "calls of tools",
    "systems": "system prompts after the first one of a chat",
}


def _left_out(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(
        f"Left out: {words} ({counts[what]})." for what, words in _NOT_TAKEN.items() if counts[what]
    )
