"""Actions that fit a turn, its code blocks, and its text as a quotation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.values.conversation import FinishReason, Role, Turn, TurnKind
from assistant.values.text import plain
from tui.keys import TURN_ACTIONS, TurnAction

_FENCE = re.compile(
    r"^[ \t]*(?P<fence>```+|~~~+)(?P<info>[^\n]*)\n(?P<code>.*?)"
    r"(?:\n[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_HALF = (FinishReason.STOPPED, FinishReason.LENGTH, FinishReason.INTERRUPTED, FinishReason.ERROR)


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a Markdown text as (language, code)."""
    return [(match["info"].strip(), match["code"]) for match in _FENCE.finditer(text)]


def quoted(text: str) -> str:
    """Return a text as a Markdown quotation."""
    return "\n".join(f"> {line}".rstrip() for line in plain(text).strip().splitlines())


def possible_actions(turn: Turn, turns: Sequence[Turn]) -> list[TurnAction]:
    """Return the actions that fit ``turn``, which is one of ``turns``."""
    is_reply = turn.role is Role.ASSISTANT
    is_message = turn.role is Role.USER and turn.kind is TurnKind.MESSAGE
    is_last = bool(turns) and turns[-1].id == turn.id
    fits = {
        "copy_code": bool(code_blocks(turn.text)),
        "again": is_reply or is_message,
        "go_on": is_reply and is_last and turn.finish_reason in _HALF,
        "edit": is_message,
    }
    return [action for action in TURN_ACTIONS if fits.get(action.name, True)]


def usual_turn(name: str, turns: Sequence[Turn]) -> Turn | None:
    """Return the turn that an action means while none is selected: the last that it fits."""
    return next(
        (
            turn
            for turn in reversed(turns)
            if any(action.name == name for action in possible_actions(turn, turns))
        ),
        None,
    )
