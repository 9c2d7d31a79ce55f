"""alt+enter in terminals that know nothing of the kitty keyboard protocol."""

from __future__ import annotations

from enum import Enum

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS


class _Sent(Enum):
    """Has the one attribute that Textual's parser asks a key for."""

    ALT_ENTER = "alt+enter"


def teach() -> None:
    """Read ESC CR as alt+enter.

    xterm, tmux, VTE and others send alt as an ESC before the key. Textual 8.2 keeps
    the alt of letters only: from ESC CR it made a plain enter, which sends the message
    that was to get another line. There is no public way to name a sequence.
    """
    keys: dict[str, object] = ANSI_SEQUENCES_KEYS  # type: ignore[assignment]
    for enter in "\r\n":
        keys[f"\x1b{enter}"] = (_Sent.ALT_ENTER,)
