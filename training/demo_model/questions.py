"""Questions about one picture, with their answers: the words of a conversation's speaker."""

from __future__ import annotations

from random import Random

from training.demo_model import grammar, reference_templates as refs, templates as ph
from training.demo_model.replies import NOTHING, NUMBERS, ORDINALS, Facts, Seen, a_, listing
from training.demo_model.scenes import COLOURS, KINDS

_FAMILIES = {
    "colour of": 22, "kind of": 18, "colour": 16, "kind": 24, "describe": 16, "count": 4,
    "is there": 12, "is it kind": 5, "is it colour": 6, "or": 5, "ground": 3, "false": 6,
}  # fmt: skip
"""How often each kind of question about one picture is asked."""


class Asker:
    """The state of a conversation that is being made up."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.seen: list[Seen] = []
        self.focus = -1
        self.spoken_of: tuple[str, str] | None = None
        self.only_name = ""

    # --- words ---------------------------------------------------------

    def pick(self, grammars: tuple[str, ...], *, needs: str = "") -> str:
        """One sentence of the grammars that hold the slot ``needs``."""
        return grammar.expand(self.rng, self.rng.choice([g for g in grammars if needs in g]))

    def reference(self, number: int) -> str:
        """A name for a picture by its place in the conversation."""
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
        """Put words into the slots; ``at`` is the place ("in picture 2") or empty."""
        rng = self.rng
        words = {
            "colour": rng.choice(("colour", "color")),
            "thing": rng.choice(("shape", "object", "thing", "figure")),
            "tell": grammar.expand(rng, ph.TELL),
        }
        if at and rng.random() < 0.3:
            return (
                f"{at}{rng.choice((', ', ' ', ', ', ': '))}{text.format(at='', **words, **slots)}"
            )
        if not at and "{at}" in text:
            at = grammar.expand(rng, ph.HERE) if rng.random() < 0.5 else ""
        return text.format(at=f" {at}" if at else "", **words, **slots)

    def kind_word(self, kind: str) -> str:
        """A kind's name, now and then a synonym."""
        return self.rng.choice(ph.SYNONYMS[kind]) if self.rng.random() < 0.03 else kind

    def place(self, number: int, named: bool) -> str:
        """ "in picture 2", or nothing when the picture needs no name."""
        if not named:
            return ""
        return f"{self.rng.choice(('in', 'in', 'in', 'on'))} {self.reference(number)}"

    def past(self, text: str, number: int) -> str:
        """Now and then the past tense, for a picture from before."""
        if number == len(self.seen) - 1 or self.rng.random() < 0.5:
            return text
        for now, then in (
            (" is ", " was "),
            ("'s ", " was "),
            (" do ", " did "),
            (" does ", " did "),
            (" can ", " could "),
            (" are ", " were "),
        ):
            if now in text:
                return text.replace(now, then, 1)
        return text

    def ask(self, text: str, number: int) -> str:
        return grammar.spoken(self.rng, self.past(text, number))

    # --- questions about one picture -----------------------------------

    def about(self, number: int, named: bool) -> tuple[str, str, str]:
        """(text, reply, family) of a question about one picture; ``named`` asks for it by its
        place."""
        rng, seen = self.rng, self.seen[number]
        facts, at = seen.facts, self.place(number, named)
        needs = "{at}" if named else ""
        self.focus, self.spoken_of = number, None
        kinds = [kind for _, kind in facts]
        if not facts:
            family = rng.choice(("colour", "kind", "describe", "count", "named"))
            if family == "named":
                text = self.fill(self.pick(ph.COLOUR_OF_KIND, needs=needs), at, s=rng.choice(KINDS))
            else:
                grammars = {
                    "colour": ph.COLOUR_ASKED,
                    "kind": ph.KIND_ASKED,
                    "describe": ph.DESCRIBE,
                    "count": ph.COUNT,
                }[family]
                text = self.fill(self.pick(grammars, needs=needs), at)
            return self.ask(text, number), NOTHING, "nothing"
        colour, kind = rng.choice(facts)
        family = rng.choices(list(_FAMILIES), list(_FAMILIES.values()))[0]
        if family == "false" and rng.random() < 0.5:
            absent = rng.choice([k for k in KINDS if k not in kinds])
            reply = f"I see no {absent}, only {listing(facts)}."
            earlier = [
                i for i, s in enumerate(self.seen) if [k for _, k in s.facts].count(absent) == 1
            ]
            if not named and earlier:
                if len(earlier) > 1 or number != len(self.seen) - 1:
                    family = "colour"
                else:
                    self.focus = earlier[0]
                    shade = next(c for c, k in self.seen[earlier[0]].facts if k == absent)
                    reply = f"The {absent} in the {ORDINALS[earlier[0]]} picture is {shade}."
            if family == "false":
                text = self.past(
                    self.fill(self.pick(ph.COLOUR_OF_KIND, needs=needs), at, s=absent), self.focus
                )
                return (
                    grammar.spoken(rng, text),
                    reply,
                    "recalled" if reply.startswith("The") else "false",
                )
        elif family == "false":
            absent = rng.choice([c for c in COLOURS if c not in [c for c, _ in facts]])
            if named or not any(c == absent for s in self.seen for c, _ in s.facts):
                text = self.fill(self.pick(ph.KIND_OF_COLOUR, needs=needs), at, c=absent)
                return (
                    self.ask(text, number),
                    f"I see nothing {absent}, only {listing(facts)}.",
                    "false",
                )
            family = "kind"
        text, reply = self._shape_question(family, number, named, at, needs, colour, kind)
        return self.ask(text, number), reply, family

    def _shape_question(
        self, family: str, number: int, named: bool, at: str, needs: str, colour: str, kind: str
    ) -> tuple[str, str]:
        rng, seen = self.rng, self.seen[number]
        facts = seen.facts
        kinds, colours = [k for _, k in facts], [c for c, _ in facts]
        single = len(facts) == 1
        self.spoken_of = (colour, kind)
        if family == "colour of" or (family in ("is it colour", "or") and kinds.count(kind) > 1):
            text = self.fill(self.pick(ph.COLOUR_OF_KIND, needs=needs), at, s=self.kind_word(kind))
            if kinds.count(kind) == 1:
                return text, f"The {kind} is {colour}."
            return text, f"The {kind}s are {colours[0]} and {colours[1]}."
        if family == "kind of" or (family == "is it kind" and not single):
            text = self.fill(self.pick(ph.KIND_OF_COLOUR, needs=needs), at, c=colour)
            if colours.count(colour) == 1:
                return text, f"The {colour} shape is {a_(kind)}."
            return text, f"The {colour} shapes are {a_(kinds[0])} and {a_(kinds[1])}."
        if family in ("colour", "kind"):
            self.spoken_of = facts[0] if single else None
            text = self.fill(
                self.pick(ph.COLOUR_ASKED if family == "colour" else ph.KIND_ASKED, needs=needs), at
            )
            if not single:
                return text, f"I see {listing(facts)}."
            return text, f"It is {colour}." if family == "colour" else f"It is {a_(kind)}."
        if family == "is there":
            return self._is_there(number, at, needs, colour, kind)
        if family == "is it kind":
            other = kind if rng.random() < 0.5 else rng.choice([k for k in KINDS if k != kind])
            text = self.fill(self.pick(ph.IS_IT_KIND, needs=needs), at, c=colour, s=other)
            return text, f"{'Yes' if other == kind else 'No'}, it is {a_(kind)}."
        if family == "is it colour":
            other = (
                colour if rng.random() < 0.5 else rng.choice([c for c in COLOURS if c != colour])
            )
            text = self.pick(ph.IS_IT_COLOUR, needs=needs)
            if not single and "{s}" not in text:
                text = "is the {s}{at} {c}"
            return self.fill(
                text, at, s=kind, c=other
            ), f"{'Yes' if other == colour else 'No'}, it is {colour}."
        if family == "or" and (rng.random() < 0.5 or not single):
            pair = [colour, rng.choice([c for c in COLOURS if c != colour])]
            rng.shuffle(pair)
            text = self.pick(ph.WHICH_OF_TWO_COLOURS, needs=needs)
            if not single and "{s}" not in text:
                text = "is the {s}{at} {c} or {d}"
            return self.fill(text, at, s=kind, c=pair[0], d=pair[1]), f"It is {colour}."
        if family == "or":
            pair = [kind, rng.choice([k for k in KINDS if k != kind])]
            rng.shuffle(pair)
            return self.fill(
                self.pick(ph.WHICH_OF_TWO_KINDS, needs=needs), at, s=pair[0], t=pair[1]
            ), f"It is {a_(kind)}."
        self.spoken_of = facts[0] if single else None
        if family == "ground":
            return self.fill(
                self.pick(ph.GROUND, needs=needs), at, s=kind
            ), f"The background is {seen.ground}."
        if family == "count":
            return self._count(at, needs, facts, colour, kind)
        reply = f"I see {listing(facts)} on a {seen.ground} background."
        if named:
            return self.pick(ph.DESCRIBE_AT).format(which=self.reference(number)), reply
        if rng.random() < 0.02:
            return "", reply
        return self.fill(self.pick(ph.DESCRIBE), ""), reply

    def _is_there(
        self, number: int, at: str, needs: str, colour: str, kind: str
    ) -> tuple[str, str]:
        rng, facts = self.rng, self.seen[number].facts
        style, want = rng.random(), rng.random() < 0.5
        if not want:
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
        text = self.fill(self.pick(ph.IS_THERE, needs=needs), at, x=asked)
        self.spoken_of = hits[0] if len(hits) == 1 else None
        return (
            text,
            f"Yes, I see {listing(tuple(hits))}." if hits else f"No, I see {listing(facts)}.",
        )

    def _count(self, at: str, needs: str, facts: Facts, colour: str, kind: str) -> tuple[str, str]:
        rng, style = self.rng, self.rng.random()
        if style < 0.6:
            number, word = len(facts), "shape"
            text = self.fill(self.pick(ph.COUNT, needs=needs), at)
        elif style < 0.85:
            word = kind if rng.random() < 0.6 else rng.choice(KINDS)
            number = [k for _, k in facts].count(word)
            text = self.fill(self.pick(ph.COUNT_KIND, needs=needs), at, s=word)
        else:
            shade = colour if rng.random() < 0.6 else rng.choice(COLOURS)
            number, word = [c for c, _ in facts].count(shade), f"{shade} shape"
            text = self.fill(self.pick(ph.COUNT_COLOUR, needs=needs), at, c=shade)
        return text, f"I see {NUMBERS[number]} {word}{'s' if number == 2 else ''}."
