"""Short ids that can be read aloud and typed, and titles made from text."""

from __future__ import annotations

import secrets
import unicodedata

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u to be mistaken for 1, 0, v."""

SESSION_LENGTH = 8
TURN_LENGTH = 12

_MISREAD = str.maketrans("ilo", "110")
_TITLE_LENGTH = 60


def new_id(length: int) -> str:
    """Draw a random id of ``length`` characters, 5 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def as_typed(text: str) -> str:
    """Correct (part of) a typed id: lower case, o for 0, l for 1."""
    return storable(text).strip().lower().translate(_MISREAD)


def storable(text: str) -> str:
    """Replace characters that no database takes: half a surrogate pair, and NUL."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "\ufffd")


def title_of(text: str, length: int = _TITLE_LENGTH) -> str:
    """Take the first line with visible text, as a title of at most ``length`` characters.

    Control and formatting characters (terminal escapes, bidirectional overrides)
    become spaces; empty when nothing is left.
    """
    for line in text.splitlines():
        visible = "".join(" " if _is_invisible(c) else c for c in storable(line))
        words = " ".join(visible.split())
        if words:
            return words if len(words) <= length else _shortened(words, length)
    return ""


def _is_invisible(character: str) -> bool:
    # The two joiners stay: they hold emoji and many scripts together.
    return character not in "\u200c\u200d" and unicodedata.category(character) in _INVISIBLE


_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp"})


def _shortened(words: str, length: int) -> str:
    at_a_word = words[:length].rpartition(" ")[0]
    # A very long first word is cut in the middle rather than dropped.
    cut = at_a_word if len(at_a_word) > length // 2 else words[: length - 1]
    return cut.rstrip(" ,;:.") + "…"
