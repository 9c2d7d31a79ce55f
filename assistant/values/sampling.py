"""Sampling parameters of one reply."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; ``temperature`` 0 is greedy.

    ``min_p`` drops tokens less likely than that share of the likeliest one;
    ``repetition_penalty`` divides the logits of ids that stand in the prompt or
    the reply (Keskar et al. 2019), 1 leaves them; ``stop`` are texts that end
    the reply, found by the engine, which knows text (the core knows ids only).
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_new_tokens: int = 1024
    stop: tuple[str, ...] = ()
