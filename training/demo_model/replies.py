"""What is known of a picture, and the fixed forms of the replies about it."""

from __future__ import annotations

from dataclasses import dataclass

Facts = tuple[tuple[str, str], ...]
"""(colour, kind) of each shape of a picture, in naming order."""

NOTHING = "I see no shape that I know in this picture."
ORDINALS = ("first", "second", "third")
NUMBERS = ("no", "one", "two", "three")


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to know of one picture."""

    facts: Facts
    ground: str


def a_(phrase: str) -> str:
    """The phrase with its indefinite article."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def listing(facts: Facts) -> str:
    """ "a red circle and a blue square"; what a reply calls the shapes of a picture."""
    return " and ".join(a_(f"{colour} {kind}") for colour, kind in facts) or "no shape that I know"


def compared(seen: list[Seen], numbers: list[int]) -> str:
    """The reply to a comparison of some pictures."""
    if len({seen[i].facts for i in numbers}) == 1:
        every = "Both" if len(numbers) == 2 else "All"
        return f"{every} pictures show {listing(seen[numbers[0]].facts)}."
    parts = [
        f"the {ORDINALS[i]} {'picture shows ' if n == 0 else ''}{listing(seen[i].facts)}"
        for n, i in enumerate(numbers)
    ]
    text = ", ".join(parts)
    return text[0].upper() + text[1:] + "."
