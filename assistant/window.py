"""Which turns the model sees: a pure function of the history. No clock, no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assistant.conversation import Role, Turn

LOW_WATER = 0.7
"""What is kept, as a share of the budget, when something must go: the next eviction is then some
turns away, and until then the cached prefix stays as it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the model will see, and what it will not.

    ``tokens`` counts positions of the kept turns; ``fits`` is False when the
    newest exchange alone exceeds the budget.
    """

    kept: tuple[Turn, ...]
    left_out: tuple[Turn, ...]
    tokens: int
    fits: bool


def plan(turns: Sequence[Turn], budget: int, cost: Callable[[Turn], int]) -> Plan:
    """Leave out whole exchanges (a user turn with its reply), oldest first.

    ``budget`` and ``cost`` are in positions. The history is replayed from its
    beginning, evicting down to :data:`LOW_WATER` each time it would not have
    fitted, so that the same history always gives the same plan and one more
    turn mostly leaves the start of the window where it was. The newest
    exchange is never left out.
    """
    exchanges: list[list[Turn]] = []
    for turn in turns:
        if turn.role is Role.ASSISTANT and exchanges:
            exchanges[-1].append(turn)
        else:
            exchanges.append([turn])
    costs = [sum(map(cost, exchange)) for exchange in exchanges]
    first = total = 0
    for newest, price in enumerate(costs):
        total += price
        if total > budget:
            while first < newest and total > budget * LOW_WATER:
                total -= costs[first]
                first += 1
    return Plan(
        kept=tuple(turn for exchange in exchanges[first:] for turn in exchange),
        left_out=tuple(turn for exchange in exchanges[:first] for turn in exchange),
        tokens=total,
        fits=total <= budget,
    )
