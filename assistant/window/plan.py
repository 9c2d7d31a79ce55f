"""Choice of the turns and pictures in the window: a pure function of the history. No model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from assistant.values.context import LeftOut, Seen, Why
from assistant.values.conversation import Role, Turn, TurnKind

LOW_WATER = 0.7
"""Share of the budget that is kept at an eviction: the next one is then some turns away, and the
cached prefix stays valid until then."""

LOWEST_WATER = 0.5
"""Smallest share of the budget that is kept from the second eviction on, where exchanges are so
long that the space above :data:`LOW_WATER` is used up too soon."""

AHEAD = 11
"""Exchanges of the chat's average length that fit after a cut, if :data:`LOWEST_WATER` allows it:
the cached prefix then stays valid for nine messages of ten."""

_NONE = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """The turns in the window, and those left out.

    ``tokens`` counts the positions of the seen turns and of the space reserved for a summary;
    ``pinned`` counts those of pinned exchanges.
    """

    seen: tuple[Seen, ...]
    left_out: tuple[LeftOut, ...]
    tokens: int
    pinned: int
    budget: int

    @property
    def fits(self) -> bool:
        """False when the newest question and pinned exchanges alone exceed the budget."""
        return self.tokens <= self.budget

    @property
    def evicted(self) -> tuple[Turn, ...]:
        """The turns that no longer fit, oldest first."""
        return tuple(
            one.turn for one in self.left_out if one.picture is None and one.why is Why.NO_ROOM
        )


def plan(
    turns: Sequence[Turn],
    budget: int,
    cost: Callable[[Seen], int],
    *,
    summary: int = 0,
    most_pictures: int | None = None,
) -> Plan:
    """Leave out turns that do not fit: old pictures first, then whole exchanges, oldest first.

    ``budget`` and ``cost`` are in positions; ``summary`` is the cost of a summary, added as soon as
    a turn no longer fits. The history is replayed from its beginning, prompt by prompt as its
    questions were sent, and cut down to :data:`LOW_WATER` (or towards :data:`LOWEST_WATER`) each
    time it would not have fitted: the same history always gives the same plan, and one more turn
    mostly leaves the start of the window where it was.

    An exchange is a question with its reply; a recalled quotation is an exchange of its own. The
    newest question and exchanges with a pinned turn or picture are never evicted (markers may
    replace their other pictures, unless their turn itself is pinned). The pictures that were shown
    last are the current subject: they and their exchange go last, and only when the newest question
    does not fit beside them.

    Turns that the user excluded are always left out, even pinned ones. An excluded question takes
    its reply along; an excluded reply goes alone, and its question stays with its pictures. A
    question that is to be answered now is seen even if it is excluded.

    Of the pictures in the window the last ``most_pictures`` are seen (None: all); those of the
    newest question always, so that the caller can refuse it.
    """
    window = _Window(budget, cost, summary)
    for turn in turns:
        window.add(turn, asks_now=turn is turns[-1] and _asks(turn))
    if turns and turns[-1].role is Role.ASSISTANT:
        window.cut()  # as for the next question
    if most_pictures is not None:
        window.keep_pictures(most_pictures)
    return window.plan()


def _asks(turn: Turn) -> bool:
    return turn.role is not Role.ASSISTANT and turn.kind is TurnKind.MESSAGE


@dataclass(slots=True)
class _Entry:
    """A turn in the window, its cost as it is seen, and the pictures replaced so far."""

    turn: Turn
    cost: int
    excluded: bool
    without: set[int] = field(default_factory=set)
    not_taken: set[int] = field(default_factory=set)
    """Those among them that the server does not take."""

    @property
    def replaceable(self) -> Iterator[int]:
        """Positions of the pictures that a marker could still replace, oldest first."""
        if not (self.excluded or self.turn.pinned):
            for position, picture in enumerate(self.turn.pictures):
                if not picture.pinned and position not in self.without:
                    yield position


class _Exchange:
    """A question with its reply."""

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.evicted = False

    @property
    def seen(self) -> list[_Entry]:
        return [] if self.evicted else [one for one in self.entries if not one.excluded]

    @property
    def pinned(self) -> bool:
        return any(
            one.turn.pinned or any(picture.pinned for picture in one.turn.pictures)
            for one in self.seen
        )

    @property
    def cost(self) -> int:
        return sum(one.cost for one in self.seen)


class _Window:
    """Replay of a history. The two cursors only move forward, so it takes one pass."""

    def __init__(self, budget: int, cost: Callable[[Seen], int], summary: int) -> None:
        self._budget, self._cost, self._summary = budget, cost, summary
        self._exchanges: list[_Exchange] = []
        self._total = 0
        self._said = 0  # positions of all turns as they came, seen or not
        self._was_cut = False
        self._oldest = 0  # every exchange before it was evicted, is pinned, or was passed over
        self._first_pictured = 0  # no exchange before it has a picture to replace
        self._last_pictured = _NONE
        self._passed_over = _NONE

    def add(self, turn: Turn, *, asks_now: bool) -> None:
        """Add the next turn; a question cuts the window, because only questions make prompts."""
        is_reply = turn.role is Role.ASSISTANT and bool(self._exchanges)
        if not is_reply:
            self._exchanges.append(_Exchange())
        exchange = self._exchanges[-1]
        answers_nothing = is_reply and exchange.entries[0].excluded
        excluded = answers_nothing or (turn.excluded and not asks_now)
        entry = _Entry(turn, self._cost(Seen(turn)), excluded)
        exchange.entries.append(entry)
        if excluded:
            return
        self._total += entry.cost
        self._said += entry.cost
        if turn.pictures:
            self._last_pictured = len(self._exchanges) - 1
        if not is_reply:
            self.cut()

    def cut(self) -> None:
        """Cut down to low water if the budget is exceeded."""
        if self._total <= self._budget:
            return
        low = self._budget * LOW_WATER
        if self._was_cut:
            ahead = AHEAD * self._said / len(self._exchanges)
            low = min(low, max(self._budget * LOWEST_WATER, self._budget - ahead))
        self._was_cut = True
        newest = len(self._exchanges) - 1
        # 1. replace old pictures by markers, except the last ones shown
        while self._total > low and self._first_pictured < min(newest, self._last_pictured):
            self._replace_pictures(self._exchanges[self._first_pictured], low)
            if self._total > low:
                self._first_pictured += 1
        if self._passed_over not in (_NONE, self._last_pictured) and self._total > low:
            self._evict(self._passed_over)  # another picture is the subject now
            self._passed_over = _NONE
        # 2. evict exchanges, oldest first, and pass over the last one with pictures
        while self._total > low and self._oldest < newest:
            if self._oldest == self._last_pictured:
                self._passed_over = self._oldest
            else:
                self._evict(self._oldest)
            self._oldest += 1
        # 3. take its pictures, then the exchange itself, if the question does not fit otherwise
        if self._total > self._budget and self._passed_over != _NONE:
            self._replace_pictures(self._exchanges[self._passed_over], low)
            if self._total > self._budget:
                self._evict(self._passed_over)

    def keep_pictures(self, most: int) -> None:
        """Replace all pictures but the last ``most`` by markers, pinned ones too."""
        asked = self._exchanges[-1].entries[0] if self._exchanges else None
        for exchange in reversed(self._exchanges):
            for entry in reversed(exchange.seen):
                seen = [at for at in range(len(entry.turn.pictures)) if at not in entry.without]
                if entry is not asked:
                    entry.not_taken = set(seen[: max(0, len(seen) - most)])
                    entry.without |= entry.not_taken
                    cost = self._cost(Seen(entry.turn, frozenset(entry.without)))
                    self._total += cost - entry.cost
                    entry.cost = cost
                most = max(0, most - len(seen))

    def _replace_pictures(self, exchange: _Exchange, low: float) -> None:
        for entry in exchange.seen:
            for position in list(entry.replaceable):
                if self._total <= low:
                    return
                entry.without.add(position)
                cost = self._cost(Seen(entry.turn, frozenset(entry.without)))
                self._total += cost - entry.cost
                entry.cost = cost

    def _evict(self, number: int) -> None:
        exchange = self._exchanges[number]
        if exchange.seen and not exchange.pinned:
            self._total += self._summary - exchange.cost
            self._summary = 0  # paid once
            exchange.evicted = True

    def plan(self) -> Plan:
        """Collect the seen turns, and those left out."""
        seen: list[Seen] = []
        left_out: list[LeftOut] = []
        for exchange in self._exchanges:
            for entry in exchange.entries:
                if entry.excluded or exchange.evicted:
                    why = Why.EXCLUDED if entry.excluded else Why.NO_ROOM
                    left_out.append(LeftOut(entry.turn, why, self._cost(Seen(entry.turn))))
                else:
                    seen.append(Seen(entry.turn, frozenset(entry.without)))
                    left_out += self._replaced(entry)
        pinned = sum(exchange.cost for exchange in self._exchanges if exchange.pinned)
        return Plan(tuple(seen), tuple(left_out), self._total, pinned, self._budget)

    def _replaced(self, entry: _Entry) -> Iterator[LeftOut]:
        """Yield each picture that a marker replaces, with the positions saved."""
        for position in sorted(entry.without):
            others = frozenset(entry.without - {position})
            saved = self._cost(Seen(entry.turn, others)) - entry.cost
            why = Why.NOT_TAKEN if position in entry.not_taken else Why.NO_ROOM
            yield LeftOut(entry.turn, why, saved, entry.turn.pictures[position])
