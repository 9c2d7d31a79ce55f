"""Vocabulary for models of servers: ids for any text, and an estimate of the server's tokens.

A server takes messages and keeps its tokenizer to itself. Here an id stands for up to three bytes
of UTF-8: about a token of code or of languages other than English, and a third more tokens than
English prose takes, so that the estimate is on the careful side.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from itertools import pairwise

from assistant.families.chat import WHITESPACE, ChatStyle
from assistant.values.conversation import Role

BYTES = 3
"""Bytes that an id stands for at most."""

_CONTROLS = ("start", *Role, "end")

STYLE = ChatStyle(
    opening={role: (role, "" if role is Role.ASSISTANT else "\n") for role in Role},
    closing=("end", "\n"),
    start="start",
    after_picture="start",
    reply_strips=WHITESPACE,
)
"""About as many positions beside the text as in the chat templates of models."""


class TextVocabulary:
    """A :class:`assistant.values.prompt.Vocabulary`. Control tokens have the ids 1 to 5.

    The bytes of a text, with a byte 1 set before them, are the digits of its id: so none is
    below 256, and those of a reply are below 2**25. The id 0 stands for no text.
    """

    is_exact = False
    tokenizer_json = ""
    stop_ids = frozenset({_CONTROLS.index("end") + 1})

    @property
    def counts_exactly(self) -> bool:
        return False

    @property
    def revision(self) -> int:
        return 0

    def id(self, name: str) -> int:
        """Look up the id of a control token. Raises KeyError."""
        if name not in _CONTROLS:
            raise KeyError(name)
        return _CONTROLS.index(name) + 1

    def knows(self, ids: Iterable[int]) -> bool:
        """Every number stands for bytes."""
        return True

    def control_name(self, token: int) -> str | None:
        """Look up the name of a control token, None for a token of text."""
        return _CONTROLS[token - 1] if 0 < token <= len(_CONTROLS) else None

    def encode(self, text: str) -> tuple[int, ...]:
        """Encode the bytes of a text; never a control token."""
        return encode_bytes(text.encode("utf-8", "replace"))

    def text(self, ids: Sequence[int]) -> str:
        """Decode tokens of text, all at once."""
        return _bytes(ids).decode("utf-8", "replace")

    def stream(self) -> TextStream:
        """Make a decoder for ids that arrive one by one."""
        return TextStream()


class TextStream:
    """A decoder that never splits a character and skips control tokens."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> str:
        """Return the text that ``ids`` complete."""
        return self._decoder.decode(_bytes(ids))

    def flush(self) -> str:
        """Return an unfinished character at the end, as U+FFFD."""
        return self._decoder.decode(b"", final=True)


def encode_bytes(data: bytes) -> tuple[int, ...]:
    """Encode bytes of text: a token of a server may end within a character."""
    pieces = (data[at : at + BYTES] for at in range(0, len(data), BYTES))
    return tuple(int.from_bytes(b"\1" + piece) for piece in pieces)


def shared_among(data: bytes, count: int) -> tuple[int, ...]:
    """Encode bytes of text as a number of ids."""
    borders = [len(data) * at // count for at in range(count + 1)]
    pieces = (data[at:end] for at, end in pairwise(borders))
    return tuple(int.from_bytes(b"\1" + piece) if piece else 0 for piece in pieces)


def _bytes(ids: Iterable[int]) -> bytes:
    pieces = (one.to_bytes((one.bit_length() + 7) // 8)[1:] for one in ids if one > 0xFF)
    return b"".join(pieces)
