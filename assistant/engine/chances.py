"""Tokens of a reply in words: how sure the model was of each, and what else it might have said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp

from assistant.engine.replies import Branch
from assistant.values.chances import Chance, Chances
from assistant.values.prompt import Vocabulary

DOUBTFUL = 0.5
"""Probability of a word's least likely token below which it is doubtful."""
ENDS = "(the end)"
"""Stands for a token that would have ended the reply."""


@dataclass(frozen=True, slots=True)
class Other:
    """A token that stood to be chosen instead; where a server keeps its ids, ``id`` is its text."""

    id: int | str
    text: str
    logprob: float

    @property
    def probability(self) -> float:
        return exp(min(self.logprob, 0.0))  # a damaged database's may be anything


@dataclass(frozen=True, slots=True)
class Token(Other):
    """A token of a reply. The texts of all, joined, are the reply's; the last is "" for its end.

    ``place`` is that of its first id among the reply's.
    """

    place: int = 0
    others: tuple[Other, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the reply, its place in the text, and the place of its least likely token."""

    start: int
    end: int
    token: int
    probability: float


def tokens_of(ids: Sequence[int], chances: Chances, vocabulary: Vocabulary) -> tuple[Token, ...]:
    """Put the ids of a reply and their chances into words."""
    stream, found = vocabulary.stream(), list[Token]()
    for place, (token, chance) in enumerate(zip(ids, chances, strict=False)):
        text = stream.feed((token,))
        if chance is None and found:
            found[-1] = replace(found[-1], id=found[-1].text + text, text=found[-1].text + text)
            continue
        logprob, others = chance or Chance(0.0)
        before = ids[place - 1 : place] if place else ()
        named = [Other(one, _after(before, one, vocabulary), likely) for one, likely in others]
        own = token if vocabulary.is_exact else text
        found.append(Token(own, text, logprob, place, tuple(named)))
    return tuple(found)


def words_of(tokens: Sequence[Token]) -> list[Word]:
    """Return the words that tokens make, each as likely as its least likely token."""
    text, starts = "", []
    for token in tokens:
        starts.append(len(text))
        text += token.text
    found, at = [], 0
    for match in re.finditer(r"\S+", text):
        while at + 1 < len(starts) and starts[at + 1] <= match.start():
            at += 1
        last = at
        while last + 1 < len(starts) and starts[last + 1] < match.end():
            last += 1
        weakest = min(range(at, last + 1), key=lambda place: tokens[place].probability)
        found.append(Word(*match.span(), weakest, tokens[weakest].probability))
    return found


def _after(before: Sequence[int], token: int | str, vocabulary: Vocabulary) -> str:
    """Return the text of a token where it follows another: alone it may lack its blank."""
    if isinstance(token, str):
        return token or ENDS
    if token in vocabulary.stop_ids:
        return ENDS
    return vocabulary.text([*before, token])[len(vocabulary.text(before)) :]


def branch(
    ids: Sequence[int], chances: Chances, place: int, other: int | str, vocabulary: Vocabulary
) -> Branch | None:
    """Return the beginning of a reply that has ``other`` at ``place``; None where that is none."""
    chance = chances[place] if place < len(chances) else None
    among = dict(chance.others) if chance is not None else {}
    if chance is None or other not in among:
        return None
    own: int | str = ids[place]
    written = (other,) if isinstance(other, int) else vocabulary.encode(other)
    if isinstance(other, str):
        end = next((at for at in range(place + 1, len(ids)) if chances[at]), len(ids))
        own = vocabulary.text(ids[place:end])
    left = {own: chance.logprob, **among}
    logprob = left.pop(other)
    others = tuple(sorted(left.items(), key=lambda pair: -pair[1]))
    rest = (None,) * len(written[1:])
    return Branch((*ids[:place], *written), (*chances[:place], Chance(logprob, others), *rest))
