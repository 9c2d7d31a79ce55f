"""Questions about one picture, with their replies."""

from __future__ import annotations

from random import Random

from training.demo_model import grammar, reference_templates as refs, templates
from training.demo_model.replies import (
    NOTHING,
    NUMBERS,
    ORDINALS,
    Facts,
    PictureFacts,
    list_shapes,
    with_article,
)
from training.demo_model.scenes import COLOURS, KINDS

_FAMILIES = {
    "colour of": 22, "kind of": 18, "colour": 16, "kind": 24, "describe": 16, "count": 4,
    "is there": 12, "is it kind": 5, "is it colour": 6, "or": 5, "ground": 3, "false": 6,
}  # fmt: skip
"""Weights of the families of questions."""


Question = tuple[str, str, str]
"""(text, reply, family); the text is not varied yet as users type (`grammar.vary`)."""

_TENSES = (
    (" is ", " was "), ("'s ", " was "), (" do ", " did "), (" does ", " did "),
    (" can ", " could "), (" are ", " were "),
)  # fmt: skip


class PictureQuestioner:
    """The state of a dialogue that is being sampled."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.seen: list[PictureFacts] = []
        self.focus = -1
        self.spoken_of: tuple[str, str] | None = None
        self.only_name = ""

    def pick(self, grammars: tuple[str, ...], *, needs: str = "") -> str:
        """Sample a sentence of the grammars that hold the slot ``needs``."""
        return grammar.expand(self.rng, self.rng.choice([g for g in grammars if needs in g]))

    def ask(self, grammars: tuple[str, ...], at: str, **slots: str) -> str:
        """Sample a sentence and fill its slots; see `fill`."""
        return self.fill(self.pick(grammars, needs="{at}" if at else ""), at, **slots)

    def reference(self, number: int) -> str:
        """Sample a name for a picture by its place in the dialogue."""
        if self.only_name:
            return self.only_name
        rng, count = self.rng, len(self.seen)
        names = list(refs.REFERENCES)
        if number == count - 1 and rng.random() < 0.35:
            names = list(refs.LAST)
        elif number == count - 2 and rng.random() < 0.25:
            names = list(refs.BEFORE_LAST)
            if count == 2:
                names += refs.OF_TWO
        nth = rng.choice((ORDINALS[number],) * 6 + (("1st", "2nd", "3rd")[number],))
        text = grammar.expand(rng, rng.choice(names))
        return text.format(nth=nth, k=number + 1, word=("one", "two", "three")[number])

    def fill(self, text: str, at: str = "", **slots: str) -> str:
        """Fill the slots; ``at`` is the place ("in picture 2") or empty."""
        rng = self.rng
        words = {
            "colour": rng.choice(("colour", "color")),
            "thing": rng.choice(("shape", "object", "thing", "figure")),
            "tell": grammar.expand(rng, templates.TELL),
        }
        if at and rng.random() < 0.3:
            return (
                f"{at}{rng.choice((', ', ' ', ', ', ': '))}{text.format(at='', **words, **slots)}"
            )
        if not at and "{at}" in text:
            at = grammar.expand(rng, templates.HERE) if rng.random() < 0.5 else ""
        return text.format(at=f" {at}" if at else "", **words, **slots)

    def kind_word(self, kind: str) -> str:
        """Name a kind, now and then by a synonym."""
        return self.rng.choice(templates.SYNONYMS[kind]) if self.rng.random() < 0.03 else kind

    def place(self, number: int, named: bool) -> str:
        """Write "in picture 2", or nothing when the picture needs no name."""
        if not named:
            return ""
        return f"{self.rng.choice(('in', 'in', 'in', 'on'))} {self.reference(number)}"

    def past(self, text: str, number: int) -> str:
        """Put a question about an earlier picture into the past tense, now and then."""
        if number == len(self.seen) - 1 or self.rng.random() < 0.5:
            return text
        now, then = next((pair for pair in _TENSES if pair[0] in text), ("", ""))
        return text.replace(now, then, 1) if now else text

    def about(self, number: int, named: bool) -> Question:
        """Ask about one picture; ``named`` names it by its place in the dialogue."""
        rng, facts = self.rng, self.seen[number].facts
        at = self.place(number, named)
        self.focus, self.spoken_of = number, None
        if not facts:
            return self.past(self._about_nothing(at), number), NOTHING, "nothing"
        colour, kind = rng.choice(facts)
        family = rng.choices(list(_FAMILIES), list(_FAMILIES.values()))[0]
        if family == "false":
            family, question = self._false(number, at)
            if question is not None:
                return question
        text, reply = self._shape_question(family, number, at, colour, kind)
        return self.past(text, number), reply, family

    def _about_nothing(self, at: str) -> str:
        """Ask about a picture without shapes as about any other."""
        family = self.rng.choice(("colour", "kind", "describe", "count", "named"))
        if family == "named":
            text = self.pick(templates.COLOUR_OF_KIND, needs="{at}" if at else "")
            return self.fill(text, at, s=self.rng.choice(KINDS))
        grammars = {
            "colour": templates.COLOUR_ASKED,
            "kind": templates.KIND_ASKED,
            "describe": templates.DESCRIBE,
            "count": templates.COUNT,
        }[family]
        return self.ask(grammars, at)

    def _false(self, number: int, at: str) -> tuple[str, Question | None]:
        """Ask about a shape or a colour that the picture does not show.

        Where the question would be about an earlier picture instead, give the
        family to ask about in its place, and None.
        """
        rng, facts = self.rng, self.seen[number].facts
        if rng.random() >= 0.5:
            absent = rng.choice([c for c in COLOURS if c not in [c for c, _ in facts]])
            if not at and any(c == absent for s in self.seen for c, _ in s.facts):
                return "kind", None
            text = self.ask(templates.KIND_OF_COLOUR, at, c=absent)
            reply = f"I see nothing {absent}, only {list_shapes(facts)}."
            return "false", (self.past(text, number), reply, "false")
        absent = rng.choice([k for k in KINDS if k not in [k for _, k in facts]])
        reply, family = f"I see no {absent}, only {list_shapes(facts)}.", "false"
        counts = [[k for _, k in s.facts].count(absent) for s in self.seen]
        if not at and 1 in counts:
            if counts.count(1) > 1 or number != len(self.seen) - 1:
                return "colour", None
            self.focus, family = counts.index(1), "recalled"
            shade = next(c for c, k in self.seen[self.focus].facts if k == absent)
            reply = f"The {absent} in the {ORDINALS[self.focus]} picture is {shade}."
        text = self.ask(templates.COLOUR_OF_KIND, at, s=absent)
        return "false", (self.past(text, self.focus), reply, family)

    def _shape_question(
        self, family: str, number: int, at: str, colour: str, kind: str
    ) -> tuple[str, str]:
        rng, seen = self.rng, self.seen[number]
        facts = seen.facts
        kinds, colours = [k for _, k in facts], [c for c, _ in facts]
        single = len(facts) == 1
        self.spoken_of = (colour, kind)
        if family == "colour of" or (family in ("is it colour", "or") and kinds.count(kind) > 1):
            text = self.pick(templates.COLOUR_OF_KIND, needs="{at}" if at else "")
            text = self.fill(text, at, s=self.kind_word(kind))
            if kinds.count(kind) == 1:
                return text, f"The {kind} is {colour}."
            return text, f"The {kind}s are {colours[0]} and {colours[1]}."
        if family == "kind of" or (family == "is it kind" and not single):
            text = self.ask(templates.KIND_OF_COLOUR, at, c=colour)
            if colours.count(colour) == 1:
                return text, f"The {colour} shape is {with_article(kind)}."
            first, second = map(with_article, kinds)
            return text, f"The {colour} shapes are {first} and {second}."
        if family in ("colour", "kind"):
            self.spoken_of = facts[0] if single else None
            asked = templates.COLOUR_ASKED if family == "colour" else templates.KIND_ASKED
            text = self.ask(asked, at)
            if not single:
                return text, f"I see {list_shapes(facts)}."
            return text, f"It is {colour if family == 'colour' else with_article(kind)}."
        if family == "is there":
            return self._is_there(facts, at, colour, kind)
        if family == "is it kind":
            other = kind if rng.random() < 0.5 else self._other(KINDS, kind)
            text = self.ask(templates.IS_IT_KIND, at, c=colour, s=other)
            return text, f"{'Yes' if other == kind else 'No'}, it is {with_article(kind)}."
        if family == "is it colour":
            other = colour if rng.random() < 0.5 else self._other(COLOURS, colour)
            text = self.pick(templates.IS_IT_COLOUR, needs="{at}" if at else "")
            if not single and "{s}" not in text:
                text = "is the {s}{at} {c}"
            text = self.fill(text, at, s=kind, c=other)
            return text, f"{'Yes' if other == colour else 'No'}, it is {colour}."
        if family == "or":
            return self._one_of_two(single, at, colour, kind)
        self.spoken_of = facts[0] if single else None
        if family == "ground":
            text = self.ask(templates.GROUND, at, s=kind)
            return text, f"The background is {seen.ground}."
        if family == "count":
            return self._count(at, facts, colour, kind)
        reply = f"I see {list_shapes(facts)} on a {seen.ground} background."
        if at:
            return self.pick(templates.DESCRIBE_AT).format(which=self.reference(number)), reply
        if rng.random() < 0.02:
            return "", reply
        return self.ask(templates.DESCRIBE, ""), reply

    def _other(self, among: tuple[str, ...], than: str) -> str:
        return self.rng.choice([word for word in among if word != than])

    def _one_of_two(self, single: bool, at: str, colour: str, kind: str) -> tuple[str, str]:
        rng = self.rng
        if rng.random() < 0.5 or not single:
            pair = [colour, self._other(COLOURS, colour)]
            rng.shuffle(pair)
            text = self.pick(templates.WHICH_OF_TWO_COLOURS, needs="{at}" if at else "")
            if not single and "{s}" not in text:
                text = "is the {s}{at} {c} or {d}"
            return self.fill(text, at, s=kind, c=pair[0], d=pair[1]), f"It is {colour}."
        pair = [kind, self._other(KINDS, kind)]
        rng.shuffle(pair)
        text = self.ask(templates.WHICH_OF_TWO_KINDS, at, s=pair[0], t=pair[1])
        return text, f"It is {with_article(kind)}."

    def _is_there(self, facts: Facts, at: str, colour: str, kind: str) -> tuple[str, str]:
        rng, style = self.rng, self.rng.random()
        if rng.random() >= 0.5:  # ask for what may not be there
            if rng.random() < 0.5:
                kind = rng.choice(KINDS)
            if rng.random() < 0.5 or style >= 0.5:
                colour = rng.choice(COLOURS)
            if style < 0.4:
                kind = rng.choice(KINDS)
        if style < 0.4:
            asked, hits = kind, [f for f in facts if f[1] == kind]
        elif style < 0.8:
            asked, hits = f"{colour} {kind}", [f for f in facts if f == (colour, kind)]
        else:
            asked = f"{colour} {rng.choice(('shape', 'object', 'thing', 'figure'))}"
            hits = [f for f in facts if f[0] == colour]
        text = self.ask(templates.IS_THERE, at, x=asked)
        self.spoken_of = hits[0] if len(hits) == 1 else None
        if hits:
            return text, f"Yes, I see {list_shapes(tuple(hits))}."
        return text, f"No, I see {list_shapes(facts)}."

    def _count(self, at: str, facts: Facts, colour: str, kind: str) -> tuple[str, str]:
        rng, style = self.rng, self.rng.random()
        if style < 0.6:
            number, word = len(facts), "shape"
            text = self.ask(templates.COUNT, at)
        elif style < 0.85:
            word = kind if rng.random() < 0.6 else rng.choice(KINDS)
            number = [k for _, k in facts].count(word)
            text = self.ask(templates.COUNT_KIND, at, s=word)
        else:
            shade = colour if rng.random() < 0.6 else rng.choice(COLOURS)
            number, word = [c for c, _ in facts].count(shade), f"{shade} shape"
            text = self.ask(templates.COUNT_COLOUR, at, c=shade)
        return text, f"I see {NUMBERS[number]} {word}{'s' if number == 2 else ''}."
