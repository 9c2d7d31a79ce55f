"""The fixed forms of the replies about pictures, whose facts are those of `pictures`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from training.demo_model import small_talk

Facts = dict[str, Any]
"""Facts of one picture, as its module in `pictures` writes them."""
Row = Sequence[Any]
"""(colour, kind, x, y, size) of a shape."""

ORDINALS = ("first", "second", "third", "fourth", "fifth")
NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip
SPELL, SPELT = "\x02", "\x03"
"""Marks around what was read from a picture: it is trained one character a token."""


def with_article(phrase: str) -> str:
    """Put the indefinite article before a phrase."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def plural(number: int, noun: str) -> str:
    """Write "no circle", "one circle", "two circles"."""
    return f"{NUMBERS[number]} {noun}{'s' if number > 1 else ''}"


def join(parts: Sequence[str]) -> str:
    """Join the parts of a list: "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def spell(text: str) -> str:
    """Quote what was read."""
    return f'"{SPELL}{text}{SPELT}"'


def plain(reply: str) -> str:
    """Take the marks of spelt parts out of a reply."""
    return reply.replace(SPELL, "").replace(SPELT, "")


def list_shapes(rows: Sequence[Row]) -> str:
    """List shapes from left to right, those alike together: "two red circles and a star"."""
    counts = Counter(f"{row[0]} {row[1]}" for row in rows)
    return join([with_article(n) if k == 1 else plural(k, n) for n, k in counts.items()])


def summarize(facts: Facts) -> str:
    """Say in a few words what a picture shows."""
    family = facts["family"]
    if family == "shapes":
        return list_shapes(facts["shapes"])
    if family == "print":
        return f"the text {spell(' '.join(facts['lines']))}"
    if family == "chart":
        title = f" {spell(facts['title'])}" if facts["title"] else ""
        return f"a bar chart{title} with {plural(len(facts['names']), 'bar')}"
    return "text that is too small" if family == "unreadable" else "nothing that I know"


def describe(facts: Facts) -> str:
    """Describe a picture in one sentence."""
    fixed = {"unreadable": small_talk.UNREADABLE, "foreign": small_talk.FOREIGN}
    return fixed.get(facts["family"]) or f"I see {summarize(facts)}."


def compare(seen: list[Facts], numbers: list[int]) -> str:
    """Write the reply to a comparison of pictures."""
    said = [summarize(seen[i]) for i in numbers]
    if len(set(said)) == 1:
        every = "Both" if len(numbers) == 2 else "All"
        return f"{every} pictures show {said[0]}."
    parts = [
        f"the {ORDINALS[i]} {'picture shows ' if n == 0 else ''}{what}"
        for n, (i, what) in enumerate(zip(numbers, said, strict=True))
    ]
    text = ", ".join(parts)
    return text[0].upper() + text[1:] + "."


def explain_shapes(facts: Facts) -> str:
    """Tell everything about shapes, in several sentences."""
    rows = facts["shapes"]
    if len(rows) == 1:
        return (
            f"I see one shape. It is {with_article(f'{rows[0][0]} {rows[0][1]}')}. {_ground(facts)}"
        )
    order = join([with_article(f"{row[0]} {row[1]}") for row in rows])
    highest = min(rows, key=lambda row: row[3])
    largest = max(rows, key=lambda row: row[4])
    return (
        f"I see {plural(len(rows), 'shape')}. From left to right they are {order}. "
        f"The {highest[0]} {highest[1]} is highest. The {largest[0]} {largest[1]} is the largest. "
        f"{_ground(facts)}"
    )


def explain_print(facts: Facts) -> str:
    """Tell everything about printed text, in several sentences."""
    words = [word for line in facts["lines"] for word in line.split()]
    ink = f" The text is {facts['ink']}." if facts["ink"] else ""
    count = f"There {'is' if len(words) == 1 else 'are'} {plural(len(words), 'word')}."
    return f"I see printed text. It says {spell(' '.join(words))}. {count}{ink} {_ground(facts)}"


def explain_chart(facts: Facts) -> str:
    """Tell everything about a bar chart, in several sentences."""
    names, values = facts["names"], facts["values"]
    title = f" The title is {spell(facts['title'])}." if facts["title"] else ""
    if facts["printed"]:
        bars = join([f"{spell(n)} is {v}" for n, v in zip(names, values, strict=True)]) + "."
    else:
        bars = f"The bars are {join([spell(name) for name in names])}."
    tallest = names[values.index(max(values))]
    return (
        f"I see a bar chart with {plural(len(names), 'bar')}.{title} {bars} "
        f"The tallest bar is {spell(tallest)}. {_ground(facts)}"
    )


def _ground(facts: Facts) -> str:
    return f"The background is {facts['ground']}."


def explain(facts: Facts) -> str:
    """Tell everything about a picture, in several sentences."""
    tell = {"shapes": explain_shapes, "print": explain_print, "chart": explain_chart}
    return tell[facts["family"]](facts) if facts["family"] in tell else describe(facts)
