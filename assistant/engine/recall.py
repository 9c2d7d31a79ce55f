"""Quotations of earlier turns: the choice of turns, their length and the text around them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from assistant.values.conversation import Role, SearchHit, Turn, TurnKind

MOST = 5
"""Turns in one quotation."""

SHARE = 4
"""A quotation takes at most this part (a quarter) of the prompt."""

LENGTHS = (2000, 1000, 500, 250, 120)
"""Characters of one quoted turn; the first with which the quotation fits is taken."""

_SPEAKERS = {Role.USER: "I said", Role.ASSISTANT: "you answered", Role.SYSTEM: "you were told"}


@dataclass(frozen=True, slots=True)
class Quotable:
    """A turn that was found, and where."""

    turn: Turn
    hit: SearchHit


def quotable(
    hits: Sequence[SearchHit], seen: Collection[str], turn_of: Callable[[str], Turn]
) -> list[Quotable]:
    """Choose the best few of ``hits``, each text once.

    No turn that the model sees anyway, that the user took out of its context, or that is a
    quotation itself; other branches and forks repeat turns.
    """
    found: dict[object, Quotable] = {}
    for hit in hits:
        if len(found) == MOST:
            break
        if hit.turn_id is None or hit.turn_id in seen:
            continue
        turn = turn_of(hit.turn_id)
        if turn.kind is not TurnKind.RECALL and not turn.excluded:
            said = (turn.role, turn.text, *(picture.sha256 for picture in turn.pictures))
            found.setdefault(said, Quotable(turn, hit))
    return list(found.values())


def quote(words: str, found: Sequence[Quotable], fits: Callable[[str], bool]) -> str | None:
    """Write one text that quotes the turns found, oldest first; None when none fits.

    Quotes get shorter, then fewer (the worst matches go first), until it ``fits``.
    """
    for count in range(len(found), 0, -1):
        kept = sorted(found[:count], key=lambda one: (one.turn.created, one.turn.id))
        for length in LENGTHS:
            quotes = "\n\n".join(_quoted(one, length) for one in kept)
            text = f"From earlier, about “{words}”:\n\n{quotes}"
            if fits(text):
                return text
    return None


def _quoted(one: Quotable, length: int) -> str:
    turn = one.turn
    day = f"{turn.created.astimezone():%Y-%m-%d}"
    pictures = "".join(f"[picture {p.number}: {p.name}]\n" for p in turn.pictures)
    text = turn.text if len(turn.text) <= length else _shortened(one, length)
    return f"“{one.hit.session_title}”, {day}, {_SPEAKERS[turn.role]}:\n{pictures}{text}"


def _shortened(one: Quotable, length: int) -> str:
    """Cut ``length`` characters of the turn around the match, or its beginning."""
    text, snippet = one.turn.text, one.hit.snippet
    at = 0
    if snippet.marks:
        start, end = snippet.marks[0]
        at = max(0, text.find(snippet.text[start:end]) - length // 4)
    piece = text[at : at + length].strip()
    return ("…" if at else "") + piece + ("…" if at + length < len(text) else "")
