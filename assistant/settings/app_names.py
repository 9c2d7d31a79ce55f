"""Names in the settings ``theme`` and ``keys``, for commands: the app's tables need Textual.

Tests hold them against those tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from assistant.values.setting import quoted

THEMES = ("auto", "phichat-ink", "phichat-paper", "phichat-contrast", "phichat-ansi")

ACTIONS = frozenset({
    "stop", "attach", "answer_again", "go_on", "select_turn_1", "new_session",
    "toggle_sessions", "search", "rename_session", "show_picture", "show_context",
    "toggle_meter", "show_engine", "switch_session", "bring_back_session", "show_models",
    "show_settings", "show_pictures", "show_notices", "help", "scroll_chat_page_up",
    "scroll_chat_page_down", "scroll_chat_end", "send", "break_line", "complete", "paste",
    "edit_outside", "cursor_up", "cursor_down", "close_menu", "delete_left", "select_1",
    "do_step_back", "do_step_on", "do_menu", "leave", "take_off", "choose_detail", "move_1",
    "select", "new", "rename", "pin", "fork", "delete",
})  # fmt: skip

_MODIFIERS = re.compile("((ctrl|shift|alt|super|hyper|meta)[+])*")
_NAMED = re.compile(
    "f([1-9]|1[0-9]|2[0-4])|up|down|left|right|home|end|pageup|pagedown|insert|delete|backspace"
    "|enter|tab|escape|space|slash|backslash|minus|plus|underscore|at|hash|tilde|pipe"
    "|left_curly_bracket|right_curly_bracket"
)
"""Keys whose names are not those of their characters."""

_OF_CHARACTERS = {
    re.sub("[- ]", "_", unicodedata.name(chr(one))).lower() for one in range(ord("!"), 0x7F)
}


def unknown_name(name: str, value: object) -> str:
    """Say what of a setting's value the app does not know; "" where there is nothing."""
    if name == "theme" and value not in THEMES:
        *others, last = map(quoted, THEMES)
        return f"theme must be {', '.join(others)} or {last}, not {quoted(value)}"
    if name == "keys" and isinstance(value, Mapping):
        for action, keys in value.items():
            if action not in ACTIONS:
                known = ", ".join(sorted(ACTIONS))
                return f"keys names no action {quoted(action)}; the actions are {known}"
            for key in keys.split(","):
                if not _is_key(key.strip()):
                    return (
                        f"keys gives {action} the unknown key {quoted(key.strip())}; keys are "
                        "named as in f10, ctrl+r, escape, pageup or r"
                    )
    return ""


def _is_key(key: str) -> bool:
    bare = _MODIFIERS.sub("", key, count=1)
    if len(bare) == 1 or _NAMED.fullmatch(bare) or bare in _OF_CHARACTERS:
        return bare.isprintable()
    try:
        return bool(unicodedata.lookup(bare.replace("_", " ").upper()))
    except KeyError:
        return False
