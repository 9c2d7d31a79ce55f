"""Reader of the logs database of ``llm``, any version, as trees of messages.

Two generations of tables hold them: ``conversations`` and ``responses`` (0.5 and
later; attachments since 0.17, fragments since 0.24), and the message store of
0.32 and later (``threads``, ``turns``, ``messages``, ``parts``). A conversation
that is in both is put together again.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assistant.values.conversation import Role, Usage
from assistant.values.errors import StorageError
from storage.exchange.document import in_utc
from storage.ids import storable

_EPOCH = datetime.fromtimestamp(0, UTC)
_MOST = 1 << 31

Row = dict[str, Any]


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    # What a foreign file defines is not run for us.
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


@dataclass(slots=True)
class Message:
    """A message of the tree; ``key`` and ``parent`` are llm's ids."""

    key: str
    parent: str | None
    role: Role
    text: str
    created: datetime
    attachments: tuple[str, ...] = ()
    model: str | None = None
    usage: Usage | None = None


@dataclass(slots=True)
class Conversation:
    """A tree of messages, parents first; the same words in the same place are one message."""

    id: str
    name: str
    model: str | None = None
    system: str | None = None
    messages: dict[str, Message] = field(default_factory=dict)
    head: str | None = None
    _places: dict[tuple[object, ...], str] = field(default_factory=dict)

    def add(self, message: Message) -> str:
        """Add a message; returns the key under which it is stored."""
        words = (message.parent, message.role, message.text)
        exactly = (*words, message.attachments)
        # llm forgets attachments when it goes on with a conversation from its older tables.
        place = exactly if message.attachments or exactly in self._places else words
        key = self._places.setdefault(place, message.key)
        self._places.setdefault(exactly, key)
        self._places.setdefault(words, key)
        self.messages.setdefault(key, message)
        return key


class Reader:
    """The rows of a logs database, whatever its version, as conversations."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        found = self._rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        self._tables = {text_of(row["name"]) for row in found}
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

    def conversations(self) -> list[Conversation]:
        """Read all conversations, the oldest first."""
        self._by_id: dict[str, Conversation] = {}
        for row in self._rows("SELECT * FROM conversations"):
            one = self._conversation(text_of(row["id"]), text_of(row["name"]))
            one.model = text_of(row["model"])
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

    def _conversation(self, conversation_id: str, name: str = "") -> Conversation:
        one = self._by_id.setdefault(conversation_id, Conversation(conversation_id, name))
        one.name = one.name or name
        return one

    # One row a question and its answer

    def _add_response(self, row: Row) -> None:
        response_id = text_of(row["id"])
        one = self._conversation(text_of(row["conversation_id"]) or response_id)
        created = _moment(row["datetime_utc"]) or _last_moment(one)
        system = self._with_fragments("system", response_id, text_of(row["system"]), "\n\n")
        self._set_system(one, system)
        prompt = self._with_fragments("prompt", response_id, text_of(row["prompt"]), "\n")
        attachments = self._attachments_of(response_id)
        self.left_out["tools"] += self._count("tool_calls", response_id)
        if prompt or attachments:  # else an answer to what a tool said
            one.head = one.add(
                Message(f"{response_id}:user", one.head, Role.USER, prompt, created, attachments)
            )
        if text := text_of(row["response"]):
            model = text_of(row["model"]) or None
            usage = _usage(row.get("input_tokens"), row.get("output_tokens"))
            one.model = model or one.model
            one.head = one.add(
                Message(
                    response_id, one.head, Role.ASSISTANT, text, created, model=model, usage=usage
                )
            )

    def _with_fragments(self, kind: str, response_id: str, text: str, between: str) -> str:
        """Join the text that was sent: the fragments, then the prompt."""
        fragments: list[str] = []
        if f"{kind}_fragments" in self._tables:
            found = self._rows(
                f"SELECT f.content FROM {kind}_fragments p JOIN fragments f ON f.id = "  # noqa: S608
                'p.fragment_id WHERE p.response_id = ? ORDER BY p."order"',
                response_id,
            )
            fragments = [text_of(row["content"]) for row in found]
        return between.join(part for part in (*fragments, text) if part)

    def _attachments_of(self, response_id: str) -> tuple[str, ...]:
        if "prompt_attachments" not in self._tables:
            return ()
        found = self._rows(
            'SELECT attachment_id FROM prompt_attachments WHERE response_id = ? ORDER BY "order"',
            response_id,
        )
        return tuple(text_of(row["attachment_id"]) for row in found)

    def _count(self, table: str, response_id: str) -> int:
        if table not in self._tables:
            return 0
        counted = f"SELECT count(*) AS n FROM {table} WHERE response_id = ?"  # noqa: S608
        return int(next(self._rows(counted, response_id))["n"])

    def _set_system(self, one: Conversation, system: str) -> None:
        if system and one.system is None and not one.messages:
            one.system = system
        elif system and system != one.system:
            self.left_out["systems"] += 1

    # The message store

    def _add_thread(self, row: Row) -> None:
        one = self._conversation(text_of(row["id"]), text_of(row["name"]))
        kept: dict[str, str | None] = {}  # by hash: the message that it, or what it follows, became
        turns = list(
            self._rows("SELECT * FROM turns WHERE thread_id = ? ORDER BY datetime_utc, id", one.id)
        )
        for turn in turns:
            self._add_chain(one, kept, turn, text_of(turn["tip_message_hash"]))
        # A fork that was not gone on with has messages, and no turns.
        tip = text_of(row["tip_message_hash"])
        self._add_chain(one, kept, {"datetime_utc": row["datetime_utc"]}, tip)
        one.head = kept.get(tip) or one.head

    def _add_chain(
        self, one: Conversation, kept: dict[str, str | None], turn: Row, tip: str
    ) -> None:
        created = _moment(turn["datetime_utc"]) or _last_moment(one)
        before = text_of(turn.get("parent_message_hash"))
        chain, own = self._chain(tip, before, kept)
        for row in chain:
            message_hash, parent = text_of(row["hash"]), kept.get(text_of(row["parent_hash"]))
            kept[message_hash] = parent
            text, attachments = self._content(message_hash)
            role = text_of(row["role"])
            if role == "system":
                self._set_system(one, text)
            elif role in ("user", "assistant") and (text or attachments):
                message = Message(message_hash, parent, Role(role), text, created, attachments)
                if message_hash in own and role == "assistant":
                    message.model = text_of(turn.get("model")) or None
                    message.usage = _usage(turn.get("input_tokens"), turn.get("output_tokens"))
                    one.model = message.model or one.model
                kept[message_hash] = one.add(message)

    def _chain(
        self, tip: str, before: str, kept: dict[str, str | None]
    ) -> tuple[list[Row], set[str]]:
        """Collect the messages up to ``tip`` not met yet, oldest first, below ``before``."""
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
            step = text_of(row["parent_hash"])
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
                    texts.append(text_of(row["text"]) or self._resolved(payload.get("text_ref")))
                case "attachment":
                    reference = payload.get("attachment")
                    if isinstance(reference, dict):
                        attachments.append(text_of(reference.get("id")))
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
                texts.append(text_of(piece["literal"]))
            else:
                found = self._rows(
                    "SELECT content FROM fragments WHERE id = ?", str(piece.get("fragment"))
                )
                texts += [text_of(row["content"]) for row in found]
        return "".join(texts)


def text_of(value: object) -> str:
    """Return a column's text, "" for other types: SQLite stores any type in any column."""
    return storable(value) if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text_of(value))
        # llm wrote no time zone before 0.19, and meant UTC.
        return in_utc(found.replace(tzinfo=UTC) if found.tzinfo is None else found)
    except ValueError:
        return None


def _last_moment(one: Conversation) -> datetime:
    return max((message.created for message in one.messages.values()), default=_EPOCH)


def _usage(prompt: object, completion: object) -> Usage | None:
    if prompt is None and completion is None:
        return None
    return Usage(
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
