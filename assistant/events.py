"""What happens while a turn is answered, as plain facts in the past tense.

The engine yields these to every front end; nothing calls back into a screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from assistant.conversation import Turn


class Stage(StrEnum):
    """What the inference core is busy with before it can stream."""

    LOADING = "loading"
    QUEUED = "queued"
    PICTURES = "pictures"
    PREFILL = "prefill"
    REGIME = "regime"
    """The KV cache is rebuilt with the other LongRoPE factors."""


@dataclass(frozen=True, slots=True)
class UserTurnStored:
    """The user's turn is safe on disk; from here on nothing typed can be lost."""

    session_id: str
    turn: Turn


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """An empty reply was stored and will grow."""

    session_id: str
    turn: Turn


@dataclass(frozen=True, slots=True)
class Progressed:
    """``done`` of ``total`` units of a stage (tokens, pictures); ``total`` 0 means unknown."""

    stage: Stage
    done: int = 0
    total: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReplyGrew:
    """The reply gained ``text`` (never half a character)."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The reply is over and stored; ``turn.finish_reason`` says how it ended."""

    session_id: str
    turn: Turn


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The reply ended in an error; what had been written of it is kept in ``turn``."""

    session_id: str
    code: str
    message: str
    turn: Turn | None = None


Event = UserTurnStored | ReplyStarted | Progressed | ReplyGrew | ReplyEnded | ReplyFailed


class Phase(StrEnum):
    """Where the model is between absent and ready."""

    IDLE = "idle"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """The state of the resident model, for the status line.

    ``detail`` is one short plain sentence ("Reading weights, 40 %", or why it failed).
    """

    phase: Phase
    model: str
    is_demo: bool
    detail: str = ""
