"""Questions about a picture of shapes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from training.demo_model import picture_templates as asked, templates
from training.demo_model.questions import Question, Questioner
from training.demo_model.replies import (
    Facts,
    Row,
    describe,
    explain,
    join,
    list_shapes,
    plural,
    with_article,
)
from training.demo_model.scenes import COLOURS, KINDS

CLEAR = 0.06
"""Share of the longer side by which two shapes must differ to be called left or right."""
_ONE = {
    "colour of": 20, "kind of": 16, "colour": 18, "kind": 20, "describe": 16, "is there": 14,
    "count": 4, "is it": 12, "ground": 3, "everything": 3, "false": 6,
}  # fmt: skip
_SEVERAL = {
    "colour of": 18, "kind of": 14, "describe": 18, "is there": 20, "count": 20, "beside": 16,
    "is beside": 12, "end": 14, "size": 10, "ground": 2, "everything": 5, "false": 4,
}  # fmt: skip
_AXES = {"left": (2, -1), "right": (2, 1), "above": (3, -1), "below": (3, 1)}
_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
_SAID = {
    "left": "to the left of", "right": "to the right of", "above": "above", "below": "below",
}  # fmt: skip
_END_SAID = {
    "left": "on the far left", "right": "on the far right", "above": "highest", "below": "lowest",
}  # fmt: skip


def _name(rng: Random, row: Row, rows: list[Row]) -> str | None:
    """Name one shape so that no other is meant: "circle", "red shape" or "red circle"."""
    names = []
    if sum(other[1] == row[1] for other in rows) == 1:
        names.append(row[1])
    if sum(other[0] == row[0] for other in rows) == 1:
        names.append(f"{row[0]} {rng.choice(('shape', 'one', 'thing'))}")
    if sum(tuple(other[:2]) == tuple(row[:2]) for other in rows) == 1:
        names += [f"{row[0]} {row[1]}"] * 2
    return rng.choice(names) if names else None


def ask_about_shapes(q: Questioner, facts: Facts, at: str) -> Question:
    """Ask about the shapes of one picture."""
    weights = _ONE if len(facts["shapes"]) == 1 else _SEVERAL
    while True:
        family = q.rng.choices(list(weights), list(weights.values()))[0]
        pair = _FAMILIES[family](q, facts, at)
        if pair is not None:
            return (*pair, family)


def _colour_of(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    kind = q.rng.choice(facts["shapes"])[1]
    text = q.ask(templates.COLOUR_OF_KIND, at, s=q.kind_word(kind))
    rows = [row for row in facts["shapes"] if row[1] == kind]
    q.spoken_of = (rows[0][0], kind) if len(rows) == 1 else None
    if len(rows) == 1:
        return text, f"The {kind} is {rows[0][0]}."
    return text, f"The {kind}s are {join(list(dict.fromkeys(row[0] for row in rows)))}."


def _kind_of(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    colour = q.rng.choice(facts["shapes"])[0]
    text = q.ask(templates.KIND_OF_COLOUR, at, c=colour)
    rows = [row for row in facts["shapes"] if row[0] == colour]
    q.spoken_of = (colour, rows[0][1]) if len(rows) == 1 else None
    if len(rows) == 1:
        return text, f"The {colour} shape is {with_article(rows[0][1])}."
    return text, f"I see {list_shapes(rows)}."


def _colour(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    q.spoken_of = tuple(facts["shapes"][0][:2])
    return q.ask(templates.COLOUR_ASKED, at), f"It is {facts['shapes'][0][0]}."


def _kind(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    q.spoken_of = tuple(facts["shapes"][0][:2])
    return q.ask(templates.KIND_ASKED, at), f"It is {with_article(facts['shapes'][0][1])}."


def _describe(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    q.spoken_of = tuple(facts["shapes"][0][:2]) if len(facts["shapes"]) == 1 else None
    return q.ask(templates.DESCRIBE, at), describe(facts)


def _everything(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    return q.ask(asked.EVERYTHING, at), explain(facts)


def _is_there(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    """Ask for a shape that is there, or for one near to those: right colour, wrong kind."""
    rng, rows = q.rng, facts["shapes"]
    colour, kind = rng.choice(rows)[:2]
    if rng.random() < 0.55:
        other = rng.choice(COLOURS), rng.choice(KINDS)
        colour, kind = rng.choice(((other[0], kind), (colour, other[1]), other))
    style = rng.random()
    if style < 0.4:
        name, hits = kind, [row for row in rows if row[1] == kind]
    elif style < 0.8:
        name, hits = f"{colour} {kind}", [r for r in rows if tuple(r[:2]) == (colour, kind)]
    else:
        name = f"{colour} {rng.choice(('shape', 'object', 'thing', 'figure'))}"
        hits = [row for row in rows if row[0] == colour]
    text = q.ask(templates.IS_THERE, at, x=name)
    q.spoken_of = tuple(hits[0][:2]) if len(hits) == 1 else None
    if hits:
        return text, f"Yes, I see {list_shapes(hits)}."
    return text, f"No, I see no {name.replace('object', 'shape')}."


def _count(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    rng, rows, style = q.rng, facts["shapes"], q.rng.random()
    colour, kind = rng.choice(rows)[:2]
    if style < 0.5:
        return q.ask(templates.COUNT, at), f"I see {plural(len(rows), 'shape')}."
    if style < 0.78:
        kind = kind if rng.random() < 0.8 else rng.choice(KINDS)
        number = sum(row[1] == kind for row in rows)
        return q.ask(templates.COUNT_KIND, at, s=kind), f"I see {plural(number, kind)}."
    colour = colour if rng.random() < 0.8 else rng.choice(COLOURS)
    number = sum(row[0] == colour for row in rows)
    return q.ask(
        templates.COUNT_COLOUR, at, c=colour
    ), f"I see {plural(number, colour + ' shape')}."


def _is_it(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    """Ask whether the one shape is of a kind or colour, or which of two it is."""
    rng = q.rng
    colour, kind = q.spoken_of = tuple(facts["shapes"][0][:2])
    other_kind = rng.choice([k for k in KINDS if k != kind])
    other_colour = rng.choice([c for c in COLOURS if c != colour])
    style, yes = rng.random(), rng.random() < 0.5
    if style < 0.35:
        text = q.ask(templates.IS_IT_KIND, at, s=kind if yes else other_kind, c=colour)
        return text, f"{'Yes' if yes else 'No'}, it is {with_article(kind)}."
    if style < 0.7:
        text = q.ask(templates.IS_IT_COLOUR, at, s=kind, c=colour if yes else other_colour)
        return text, f"{'Yes' if yes else 'No'}, it is {colour}."
    if style < 0.85:
        pair = rng.sample((colour, other_colour), 2)
        text = q.ask(templates.WHICH_OF_TWO_COLOURS, at, s=kind, c=pair[0], d=pair[1])
        return text, f"It is {colour}."
    pair = rng.sample((kind, other_kind), 2)
    text = q.ask(templates.WHICH_OF_TWO_KINDS, at, s=pair[0], t=pair[1])
    return text, f"It is {with_article(kind)}."


def _beside(q: Questioner, facts: Facts, at: str) -> tuple[str, str] | None:
    rng, rows = q.rng, facts["shapes"]
    row = rng.choice(rows)
    name, direction = _name(rng, row, rows), rng.choice(list(_AXES))
    axis, sign = _AXES[direction]
    gaps = [(other, (other[axis] - row[axis]) * sign) for other in rows if other is not row]
    if name is None or any(abs(gap) < CLEAR for _, gap in gaps):
        return None
    found = [other for other, gap in gaps if gap > 0]
    words = rng.choice(asked.DIRECTIONS[direction])
    text = q.ask(asked.BESIDE, at, d=words, x=name)
    q.spoken_of = tuple(found[0][:2]) if len(found) == 1 else None
    if not found:
        return text, f"Nothing is {_SAID[direction]} it."
    return text, f"{_capital(list_shapes(found))}."


def _is_beside(q: Questioner, facts: Facts, at: str) -> tuple[str, str] | None:
    rng, rows = q.rng, facts["shapes"]
    one, other = rng.sample(rows, 2)
    names, direction = (_name(rng, one, rows), _name(rng, other, rows)), rng.choice(list(_AXES))
    axis, sign = _AXES[direction]
    gap = (one[axis] - other[axis]) * sign
    if None in names or abs(gap) < CLEAR:
        return None
    words = rng.choice(asked.DIRECTIONS[direction])
    text = q.ask(asked.IS_BESIDE, at, d=words, x=str(names[0]), y=str(names[1]))
    if gap > 0:
        return text, f"Yes, it is {_SAID[direction]} the {other[0]} {other[1]}."
    return text, f"No, it is {_SAID[_OPPOSITE[direction]]} the {other[0]} {other[1]}."


def _end(q: Questioner, facts: Facts, at: str) -> tuple[str, str] | None:
    direction = q.rng.choice(list(_AXES))
    axis, sign = _AXES[direction]
    rows = sorted(facts["shapes"], key=lambda row: -row[axis] * sign)
    if abs(rows[0][axis] - rows[1][axis]) < CLEAR:
        return None
    text = q.ask(asked.AT_END, at, d=q.rng.choice(asked.END[direction]))
    q.spoken_of = tuple(rows[0][:2])
    return text, f"The {rows[0][0]} {rows[0][1]} is {_END_SAID[direction]}."


def _size(q: Questioner, facts: Facts, at: str) -> tuple[str, str] | None:
    largest = q.rng.random() < 0.6
    rows = sorted(facts["shapes"], key=lambda row: -row[4] if largest else row[4])
    if max(rows[0][4], rows[1][4]) < 1.25 * min(rows[0][4], rows[1][4]):
        return None
    words = q.rng.choice(asked.END["largest" if largest else "smallest"])
    grammars = asked.AT_END if words.startswith("the ") else asked.SUPERLATIVE
    q.spoken_of = tuple(rows[0][:2])
    word = "largest" if largest else "smallest"
    return q.ask(grammars, at, d=words), f"The {rows[0][0]} {rows[0][1]} is the {word}."


def _ground(q: Questioner, facts: Facts, at: str) -> tuple[str, str]:
    text = q.ask(templates.GROUND, at, s="shapes")
    return text, f"The background is {facts['ground']}."


def _false(q: Questioner, facts: Facts, at: str) -> tuple[str, str] | None:
    """Ask about a shape, colour, text or chart that the picture does not show."""
    rng, rows = q.rng, facts["shapes"]
    style = rng.random()
    if style < 0.25:
        return q.ask(asked.READ, at), f"I see no text, only {list_shapes(rows)}."
    if style < 0.4:
        grammars = rng.choice((asked.TALLEST, asked.SHORTEST, asked.HOW_MANY_BARS))
        return q.ask(grammars, at), f"I see no bar chart, only {list_shapes(rows)}."
    if style < 0.7:
        absent = [c for c in COLOURS if all(row[0] != c for row in rows)]
        colour = rng.choice(absent)
        text = q.ask(templates.KIND_OF_COLOUR, at, c=colour)
        return text, f"I see nothing {colour}, only {list_shapes(rows)}."
    missing = [k for k in KINDS if all(row[1] != k for row in rows)]
    if not missing or (
        not at and any(r[1] in missing for s in q.seen for r in s.get("shapes", ()))
    ):
        return None
    kind = rng.choice(missing)
    text = q.ask(templates.COLOUR_OF_KIND, at, s=kind)
    return text, f"I see no {kind}, only {list_shapes(rows)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_FAMILIES: dict[str, Callable[[Questioner, Facts, str], tuple[str, str] | None]] = {
    "colour of": _colour_of, "kind of": _kind_of, "colour": _colour, "kind": _kind,
    "describe": _describe, "is there": _is_there, "count": _count, "is it": _is_it,
    "beside": _beside, "is beside": _is_beside, "end": _end, "size": _size, "ground": _ground,
    "everything": _everything, "false": _false,
}  # fmt: skip
