"""Conversations from the database of the ``llm`` command (https://llm.datasette.io).

Reads both of its generations: ``conversations`` and ``responses`` (0.5 and
later; attachments since 0.17, fragments since 0.24), and the message store of
0.32 and later (``threads``, ``turns``, ``messages``, ``parts``). A conversation
that lives in both is put together again. Ids are made from llm's own, so that a
second import finds what the first one stored.

Pictures come from the database, or from the path they were attached from if it
still leads to a picture; addresses are never fetched.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assistant.conversation import FinishReason, PictureFile, Role, TurnKind
from assistant.errors import PictureError, StorageError
from assistant.plain_text import one_line as harmless
from storage.exchange.arriving import Pictures
from storage.exchange.document import (
    ParametersPart,
    SessionPart,
    SessionPicturePart,
    TurnPart,
    UsagePart,
)
from storage.failures import told_plainly
from storage.ids import ALPHABET, one_line, storable

OpenPicture = Callable[[bytes | Path, str | None], PictureFile]
"""Opens a picture from bytes or a path, under a name. Raises PictureError."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_MOST = 1 << 31

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Logs:
    """What was read: sessions, their pictures, and sentences about what can't come along."""

    sessions: tuple[SessionPart, ...]
    pictures: Pictures
    left_out: tuple[str, ...]


def read(path: Path, open_picture: OpenPicture) -> Logs:
    """All conversations of a logs database. Raises StorageError, one sentence."""
    name = harmless(path.name, 80)
    with told_plainly(str(path)), closing(_connect(path)) as connection:
        reader = _Reader(connection, name)
        conversations = reader.conversations()
        gallery = _Gallery(reader, open_picture)
        sessions = tuple(_session(one, gallery) for one in conversations if one.messages)
        return Logs(sessions, gallery.opened, _left_out(reader.left_out + gallery.left_out))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    # What a foreign file defines is not run for us.
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


@dataclass(slots=True)
class _Message:
    """A message of the tree; ``key`` and ``parent`` are llm's ids."""

    key: str
    parent: str | None
    role: Role
    text: str
    created: datetime
    attachments: tuple[str, ...] = ()
    model: str | None = None
    usage: UsagePart | None = None


@dataclass(slots=True)
class _Conversation:
    """A tree of messages, parents first; the same words in the same place are one message."""

    id: str
    name: str
    model: str | None = None
    system: str | None = None
    messages: dict[str, _Message] = field(default_factory=dict)
    head: str | None = None
    _places: dict[tuple[object, ...], str] = field(default_factory=dict)

    def add(self, message: _Message) -> str:
        """The key under which the message is there now."""
        place = (message.parent, message.role, message.text, message.attachments)
        key = self._places.setdefault(place, message.key)
        self.messages.setdefault(key, message)
        return key


class _Reader:
    """The rows of a logs database, whatever its version, as conversations."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        found = self._rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        self._tables = {_text(row["name"]) for row in found}
        self.left_out: Counter[str] = Counter()
        if "alembic_version" in self._tables and "sessions" in self._tables:
            raise StorageError(
                f"{name} is a phichat database, not an export; look into it with: "
                "PHICHAT_DATABASE=FILE phichat sessions list.",
                code="import",
            )
        if not {"conversations", "responses"} <= self._tables:
            raise StorageError(
                f"{name} is neither a phichat export nor the logs database of llm; give a file "
                "made by phichat sessions export, or the one that llm logs path names.",
                code="import",
            )

    def conversations(self) -> list[_Conversation]:
        """All of them, the oldest first."""
        self._by_id: dict[str, _Conversation] = {}
        for row in self._rows("SELECT * FROM conversations"):
            self._conversation(_text(row["id"]), _text(row["name"])).model = _text(row["model"])
        for row in self._rows("SELECT * FROM responses ORDER BY datetime_utc, id"):
            self._add_response(row)
        if {"threads", "turns", "messages", "parts"} <= self._tables:
            threads = self._rows("SELECT * FROM threads ORDER BY datetime_utc, id")
            for row in list(threads):
                self._add_thread(row)
        found = list(self._by_id.values())
        found.sort(key=lambda one: min((m.created for m in one.messages.values()), default=_EPOCH))
        return found

    def attachment(self, attachment_id: str) -> Row | None:
        return next(self._rows("SELECT * FROM attachments WHERE id = ?", attachment_id), None)

    def _rows(self, statement: str, *values: str) -> Iterator[Row]:
        yield from self._connection.execute(statement, values)

    def _conversation(self, conversation_id: str, name: str = "") -> _Conversation:
        one = self._by_id.setdefault(conversation_id, _Conversation(conversation_id, name))
        one.name = one.name or name
        return one

    # One row a question and its answer

    def _add_response(self, row: Row) -> None:
        response_id = _text(row["id"])
        one = self._conversation(_text(row["conversation_id"]) or response_id)
        created = _moment(row["datetime_utc"]) or _last_moment(one)
        system = self._with_fragments("system", response_id, _text(row["system"]), "\n\n")
        self._set_system(one, system)
        prompt = self._with_fragments("prompt", response_id, _text(row["prompt"]), "\n")
        attachments = self._attachments_of(response_id)
        self.left_out["tools"] += self._count("tool_calls", response_id)
        if prompt or attachments:  # else an answer to what a tool said
            one.head = one.add(
                _Message(f"{response_id}:user", one.head, Role.USER, prompt, created, attachments)
            )
        if text := _text(row["response"]):
            model = _text(row["model"]) or None
            usage = _usage(row.get("input_tokens"), row.get("output_tokens"))
            one.model = model or one.model
            one.head = one.add(
                _Message(
                    response_id, one.head, Role.ASSISTANT, text, created, model=model, usage=usage
                )
            )

    def _with_fragments(self, kind: str, response_id: str, text: str, between: str) -> str:
        """What was sent: the fragments, then what was typed."""
        fragments: list[str] = []
        if f"{kind}_fragments" in self._tables:
            found = self._rows(
                f"SELECT f.content FROM {kind}_fragments p JOIN fragments f ON f.id = "  # noqa: S608
                'p.fragment_id WHERE p.response_id = ? ORDER BY p."order"',
                response_id,
            )
            fragments = [_text(row["content"]) for row in found]
        return between.join(part for part in (*fragments, text) if part)

    def _attachments_of(self, response_id: str) -> tuple[str, ...]:
        if "prompt_attachments" not in self._tables:
            return ()
        found = self._rows(
            'SELECT attachment_id FROM prompt_attachments WHERE response_id = ? ORDER BY "order"',
            response_id,
        )
        return tuple(_text(row["attachment_id"]) for row in found)

    def _count(self, table: str, response_id: str) -> int:
        if table not in self._tables:
            return 0
        counted = f"SELECT count(*) AS n FROM {table} WHERE response_id = ?"  # noqa: S608
        return int(next(self._rows(counted, response_id))["n"])

    def _set_system(self, one: _Conversation, system: str) -> None:
        if system and one.system is None and not one.messages:
            one.system = system
        elif system and system != one.system:
            self.left_out["systems"] += 1

    # The message store

    def _add_thread(self, row: Row) -> None:
        one = self._conversation(_text(row["id"]), _text(row["name"]))
        kept: dict[str, str | None] = {}  # by hash: the message that it, or what it follows, became
        turns = list(
            self._rows("SELECT * FROM turns WHERE thread_id = ? ORDER BY datetime_utc, id", one.id)
        )
        for turn in turns:
            self._add_chain(one, kept, turn, _text(turn["tip_message_hash"]))
        # A fork that was not gone on with has messages, and no turns.
        tip = _text(row["tip_message_hash"])
        self._add_chain(one, kept, {"datetime_utc": row["datetime_utc"]}, tip)
        one.head = kept.get(tip) or one.head

    def _add_chain(
        self, one: _Conversation, kept: dict[str, str | None], turn: Row, tip: str
    ) -> None:
        created = _moment(turn["datetime_utc"]) or _last_moment(one)
        before = _text(turn.get("parent_message_hash"))
        chain, own = self._chain(tip, before, kept)
        for row in chain:
            message_hash, parent = _text(row["hash"]), kept.get(_text(row["parent_hash"]))
            kept[message_hash] = parent
            text, attachments = self._content(message_hash)
            role = _text(row["role"])
            if role == "system":
                self._set_system(one, text)
            elif role in ("user", "assistant") and (text or attachments):
                message = _Message(message_hash, parent, Role(role), text, created, attachments)
                if message_hash in own and role == "assistant":
                    message.model = _text(turn.get("model")) or None
                    message.usage = _usage(turn.get("input_tokens"), turn.get("output_tokens"))
                    one.model = message.model or one.model
                kept[message_hash] = one.add(message)

    def _chain(
        self, tip: str, before: str, kept: dict[str, str | None]
    ) -> tuple[list[Row], set[str]]:
        """The messages up to ``tip`` not met yet, oldest first, and which come after ``before``."""
        chain: list[Row] = []
        own: set[str] = set()
        step, met_before = tip, False
        met: set[str] = set()
        while step and step not in kept and step not in met:
            met.add(step)
            row = next(self._rows("SELECT * FROM messages WHERE hash = ?", step), None)
            if row is None:
                break
            met_before = met_before or step == before
            if not met_before:
                own.add(step)
            chain.append(row)
            step = _text(row["parent_hash"])
        return chain[::-1], own

    def _content(self, message_hash: str) -> tuple[str, tuple[str, ...]]:
        texts: list[str] = []
        attachments: list[str] = []
        for row in self._rows(
            "SELECT * FROM parts WHERE message_hash = ? ORDER BY position", message_hash
        ):
            payload = _payload(row["payload"])
            match row["type"]:
                case "text":
                    texts.append(_text(row["text"]) or self._resolved(payload.get("text_ref")))
                case "attachment":
                    reference = payload.get("attachment")
                    if isinstance(reference, dict):
                        attachments.append(_text(reference.get("id")))
                case "tool_call":
                    self.left_out["tools"] += 1
                case _:
                    pass  # what a tool said, or the model thought
        return "".join(texts), tuple(attachments)

    def _resolved(self, pieces: object) -> str:
        """Text that borrows from fragments: a list of ``{"literal"}`` and ``{"fragment": id}``."""
        texts: list[str] = []
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, dict):
                continue
            if "literal" in piece:
                texts.append(_text(piece["literal"]))
            else:
                found = self._rows(
                    "SELECT content FROM fragments WHERE id = ?", str(piece.get("fragment"))
                )
                texts += [_text(row["content"]) for row in found]
        return "".join(texts)


class _Gallery:
    """Opens attachments, each once."""

    def __init__(self, reader: _Reader, open_picture: OpenPicture) -> None:
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
        content, path = row.get("content"), _text(row.get("path"))
        media_type = _text(row.get("type"))
        if media_type and not media_type.startswith("image/"):
            self.left_out["others"] += 1
        elif isinstance(content, bytes) and content:
            try:
                suffix = media_type.partition("/")[2] or "picture"
                return self._open(content, f"attachment.{suffix}")
            except PictureError:
                self.left_out["others"] += 1
        elif path:
            try:
                return self._open(Path(path), None)
            except PictureError:
                self.left_out["paths"] += 1
        elif _text(row.get("url")):
            self.left_out["urls"] += 1
        else:
            self.left_out["paths"] += 1
        return None


def _session(one: _Conversation, gallery: _Gallery) -> SessionPart:
    ids = {key: derived_id(f"turn\0{one.id}\0{key}", 16) for key in one.messages}
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
                usage=message.usage,
                timings=None,
                parameters=None,
            )
        )
    moments = [turn.created for turn in turns]
    first = next((turn.text for turn in turns if turn.text), "")
    return SessionPart(
        id=derived_id(f"session\0{one.id}", 12),
        title=one_line(one.name) or one_line(first) or "New conversation",
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


def derived_id(words: str, length: int) -> str:
    """Always the same id for the same words: 5 bits a character of their SHA-256."""
    digest = hashlib.sha256(words.encode("utf-8", "replace")).digest()
    return "".join(ALPHABET[byte & 31] for byte in digest[:length])


_NOT_TAKEN = {
    "urls": "pictures that are only addresses, which are never fetched",
    "paths": "attachments that are no longer where they were, or are no pictures",
    "others": "attachments that are no pictures",
    "tools": "calls of tools",
    "systems": "system prompts after the first one of a conversation",
}


def _left_out(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(
        f"Left out: {words} ({counts[what]})." for what, words in _NOT_TAKEN.items() if counts[what]
    )


def _text(value: object) -> str:
    """A column's text: SQLite keeps anything anywhere."""
    return storable(value) if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(_text(value))
        # llm wrote no time zone before 0.19, and meant UTC.
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _last_moment(one: _Conversation) -> datetime:
    return max((message.created for message in one.messages.values()), default=_EPOCH)


def _usage(prompt: object, completion: object) -> UsagePart | None:
    if prompt is None and completion is None:
        return None
    return UsagePart(
        prompt_tokens=_count(prompt),
        picture_tokens=0,
        cached_tokens=0,
        completion_tokens=_count(completion),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < _MOST else 0


def _payload(value: object) -> dict[str, Any]:
    try:
        payload = json.loads(value) if isinstance(value, str) else {}
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}
