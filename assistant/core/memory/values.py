"""The memory plan and the wishes that it is made from, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

TYPICAL_CONVERSATION = 4096
"""Tokens of a conversation when resident ones are counted: two pictures and some talk."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Formats and context that the user asked for; "auto" and None leave them to the plan."""

    dtype: str = "auto"
    weights: str = "auto"
    kv: str = "auto"
    context: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Formats in which a model is loaded, and the context that it then holds; sizes in bytes.

    ``weights`` is "float" (the matrices are in ``dtype``), "int8" or "int4", and so is ``kv``.
    ``tower`` is the format of the vision tower's large matrices, None where nothing was measured.
    ``problem`` is one sentence where the model does not fit, and None where it does;
    ``sentences`` are the choice and its reasons in plain words.
    """

    model: str
    device: str
    title: str
    available: int
    dtype: str
    weights: str
    weights_bytes: int
    kv: str
    kv_bytes_per_token: int
    kv_fixed_bytes: int
    working_bytes_per_token: int
    activation_bytes: int
    libraries: int
    reserve: int
    feature_budget: int
    context_tokens: int
    kv_budget: int
    host_budget: int
    tower: str | None = None
    sentences: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def held(self) -> str:
        """Format that the matrices are held in."""
        return self.dtype if self.weights == "float" else self.weights

    @property
    def resident_conversations(self) -> int:
        """Conversations of :data:`TYPICAL_CONVERSATION` tokens that stay resident."""
        one = self.kv_bytes_per_token * TYPICAL_CONVERSATION + self.kv_fixed_bytes
        return self.kv_budget // one

    @property
    def fixed_bytes(self) -> int:
        """Everything but the context and the reserve."""
        stays = self.weights_bytes + self.libraries + self.feature_budget
        return stays + self.activation_bytes + self.kv_fixed_bytes

    @property
    def bytes_per_token(self) -> int:
        """Bytes of one token of context in all."""
        return self.kv_bytes_per_token + self.working_bytes_per_token

    @property
    def total_bytes(self) -> int:
        """Everything, with the context full."""
        return self.fixed_bytes + self.context_tokens * self.bytes_per_token
