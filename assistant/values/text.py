"""Text made safe for a terminal: no escape sequences, no control characters."""

from __future__ import annotations

import re

# CSI, OSC / DCS / PM / APC strings (ended by BEL or ST), charset designations, two-byte escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b[0-~]"
)
# The controls that survive: newline and tab. The bidirectional overrides would let a file name
# or a reply show itself in another order than it is stored.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_UNFINISHED = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*\Z"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*\x1b?\Z"
    r"|\x1b[ -/]*\Z"
)
_LONGEST_ESCAPE = 4096


_USER_SECRET = re.compile(r"(\w(?::/|:?//)[^:@/?#\s]*:)\S*@")
_LOGIN = re.compile(r"((?:https?|socks\w*)://)[^/?#@\s*]+@", re.IGNORECASE)
_NAMED_SECRET = re.compile(
    r"(?i)\b((?:ssl)?passw(?:or)?d(?:=|%3D)|passphrase=|pwd=|token=|secret=|(?:api_?)?key=)[^&\s]+"
)
"""Passwords of ``scheme://user:password@host``, a slash or the colon missing too, of
``password=…`` in a query or a DSN, and ``http://key@host``."""


def plain(text: str) -> str:
    """Return ``text`` without escape sequences and control characters; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def quoted(text: str) -> str:
    """Return a text as a Markdown quotation."""
    return "\n".join(f"> {line}".rstrip() for line in plain(text).strip().splitlines())


def begun(text: str, string: str) -> int:
    """Count the characters at the end of ``text`` with which ``string`` begins."""
    longest = min(len(text), len(string) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(string[:n])), 0)


def one_line(text: str, limit: int = 0) -> str:
    """Return ``text`` made harmless on one line, cut to ``limit`` characters with an ellipsis."""
    line = " ".join(plain(text).split())
    if limit and len(line) > limit:
        return line[: max(1, limit - 1)].rstrip() + "…"
    return line


# What JSON leaves as it is and a terminal would obey, or no encoding takes: C1 controls, delete,
# bidirectional overrides, lone surrogates. They stand inside strings, where \u is valid.
_OBEYED = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def masked(text: str) -> str:
    """Replace the passwords in addresses and in drivers' words by ``***``."""
    text = _LOGIN.sub(r"\1***@", _USER_SECRET.sub(r"\1***@", text))
    return _NAMED_SECRET.sub(r"\1***", text)


def plain_json(text: str) -> str:
    """Return JSON that a terminal shows and does not obey, with the same meaning."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class PlainStream:
    """Stream of text made harmless, also where an escape sequence is cut between two pieces."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what can be shown now; an unfinished escape sequence is held back."""
        text = self._held + piece
        self._held = ""
        if (match := _UNFINISHED.search(text)) and len(match.group()) < _LONGEST_ESCAPE:
            self._held = match.group()
            text = text[: match.start()]
        if text.endswith("\r"):  # it may be the first half of a line break
            self._held = "\r" + self._held
            text = text[:-1]
        return plain(text)

    def finish(self) -> str:
        """Return what was held back, made harmless: the stream is over."""
        held, self._held = self._held, ""
        return plain(held)
