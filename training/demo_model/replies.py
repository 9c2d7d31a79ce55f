"""Facts of a picture, and the fixed forms of the replies about it."""

from __future__ import annotations

from dataclasses import dataclass

Facts = tuple[tuple[str, str], ...]
"""(colour, kind) of each shape of a picture, in naming order."""

NOTHING = "I see no shape that I know in this picture."
ORDINALS = ("first", "second", "third")
NUMBERS = ("no", "one", "two", "three")


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The shapes of one picture and its ground ("light" or "dark")."""

    facts: Facts
    ground: str


def with_article(phrase: str) -> str:
    """Put the indefinite article before a phrase."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def list_shapes(facts: Facts) -> str:
    """List the shapes of a picture as a reply does: "a red circle and a blue square"."""
    return (
        " and ".join(with_article(f"{colour} {kind}") for colour, kind in facts)
        or "no shape that I know"
    )


def compare(seen: list[PictureFacts], numbers: list[int]) -> str:
    """Write the reply to a comparison of pictures."""
    if len({seen[i].facts for i in numbers}) == 1:
        every = "Both" if len(numbers) == 2 else "All"
        return f"{every} pictures show {list_shapes(seen[numbers[0]].facts)}."
    parts = [
        f"the {ORDINALS[i]} {'picture shows ' if n == 0 else ''}{list_shapes(seen[i].facts)}"
        for n, i in enumerate(numbers)
    ]
    text = ", ".join(parts)
    return text[0].upper() + text[1:] + "."
