"""Events of a reply, in the past tense: the engine yields them to every front end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from assistant.values.chances import Chances
from assistant.values.context import ContextReport
from assistant.values.conversation import Summary, Turn


class Stage(StrEnum):
    """The core's work before it can stream."""

    LOADING = "loading"
    QUEUED = "queued"
    """Another terminal's request comes first; ``done`` is how many do."""
    PICTURES = "pictures"
    PREFILL = "prefill"
    REGIME = "regime"
    """The KV cache is rebuilt with the other LongRoPE factors."""
    STORING = "storing"
    """The reply is complete and the database is away."""


@dataclass(frozen=True, slots=True)
class UserTurnStored:
    """The user's turn is stored; nothing typed can be lost from here on."""

    session_id: str
    turn: Turn


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """An empty reply was stored; its text follows in events."""

    session_id: str
    turn: Turn


@dataclass(frozen=True, slots=True)
class ContextPlanned:
    """The prompt was planned: its turns, pictures and crops.

    Comes twice in a turn if the core holds less than it said.
    """

    session_id: str
    context: ContextReport


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
class ThoughtGrew:
    """The model thinks before it answers; ``text`` may be "" while that is all that is known."""

    text: str


@dataclass(frozen=True, slots=True)
class StoreLost:
    """The database does not take the reply, which goes on; comes once in a reply."""

    message: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The reply is over and stored; ``turn.finish_reason`` says how it ended.

    ``unstored`` is a sentence that says why it is not stored, where it is not. ``chances`` are
    those of the reply's ids, None where they are not known.
    """

    session_id: str
    turn: Turn
    unstored: str = ""
    chances: Chances | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The reply ended in an error; ``turn`` keeps its text so far."""

    session_id: str
    code: str
    message: str
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class SummaryStored:
    """The turns that no longer fit have a new summary."""

    session_id: str
    summary: Summary


Event = (
    UserTurnStored
    | ReplyStarted
    | ContextPlanned
    | Progressed
    | ReplyGrew
    | ThoughtGrew
    | StoreLost
    | ReplyEnded
    | ReplyFailed
    | SummaryStored
)


class Phase(StrEnum):
    """Phases of a model."""

    IDLE = "idle"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """The state of the resident model, for the status line.

    ``detail`` is one short plain sentence ("Reading weights, 40 %", or why it failed);
    ``done`` of ``total`` bytes of weights are read (``total`` 0: not known yet).
    ``plan`` is the memory plan of the worker that serves this terminal, once it is made.
    ``is_server`` says that messages leave this machine, for the server named ``model``.
    ``warning`` is a sentence about the last reply: what the model was not shown, unasked.
    """

    phase: Phase
    model: str
    is_demo: bool
    detail: str = ""
    done: int = 0
    total: int = 0
    plan: Mapping[str, Any] | None = field(default=None, hash=False)
    is_server: bool = False
    warning: str = ""
