"""Actions that fit a turn, its code blocks, and its text as a quotation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from assistant.values.conversation import FinishReason, Role, Turn, TurnKind
from tui.keys import TURN_ACTIONS, UNDOING, TurnAction

_FENCE = re.compile(
    r"^[ \t]*(?P<fence>```+|~~~+)(?P<info>[^\n]*)\n(?P<code>.*?)"
    r"(?:\n[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_HALF = (FinishReason.STOPPED, FinishReason.LENGTH, FinishReason.INTERRUPTED, FinishReason.ERROR)


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a Markdown text as (language, code)."""
    return [(match["info"].strip(), match["code"]) for match in _FENCE.finditer(text)]


def possible_actions(turn: Turn, turns: Sequence[Turn]) -> list[TurnAction]:
    """Return the actions that fit ``turn``, which is one of ``turns``, as its marks are now."""
    is_reply = turn.role is Role.ASSISTANT
    is_message = turn.role is Role.USER and turn.kind is TurnKind.MESSAGE
    is_last = bool(turns) and turns[-1].id == turn.id
    fits = {
        "copy_code": bool(code_blocks(turn.text)),
        "thought": turn.thought is not None,
        "again": is_reply or is_message,
        "doubts": is_reply and turn.finish_reason is not None,
        "go_on": is_reply and is_last and turn.finish_reason in _HALF,
        "edit": is_message,
    }
    is_marked = {"pin": turn.pinned, "exclude": turn.excluded}
    return [
        UNDOING[action.name] if is_marked.get(action.name) else action
        for action in TURN_ACTIONS
        if fits.get(action.name, True)
    ]


def kept_words(turn_id: str, turns: Sequence[Turn], versions: Mapping[str, tuple[int, int]]) -> str:
    """Say where the turns stay that follow ``turn_id`` once it has another version; "" for none.

    A message has another version when it is edited, a reply when it is asked for again: of a
    message too, whose reply is the turn with the versions then.
    """
    at = next((i for i, turn in enumerate(turns) if turn.id == turn_id), len(turns))
    own = 2 if turns[at : at + 1] and turns[at].role is Role.USER else 1  # a message's reply
    if at + own >= len(turns):
        return ""
    place, _ = versions.get(turn_id, (1, 1))
    return f"What followed is in version {place}: select this turn, then ← goes there."


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
