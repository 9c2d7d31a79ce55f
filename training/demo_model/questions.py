"""Questioner: the state of a dialogue, names of pictures, phrases of every kind of question."""

from __future__ import annotations

from random import Random

from training.demo_model import grammar, reference_templates as refs, templates
from training.demo_model.replies import ORDINALS, Facts

Question = tuple[str, str, str]
"""(text, reply, family); the text is not varied yet as users type (`grammar.vary`)."""

_TENSES = (
    (" is ", " was "), ("'s ", " was "), (" do ", " did "), (" does ", " did "),
    (" can ", " could "), (" are ", " were "),
)  # fmt: skip


class Questioner:
    """The state of a dialogue that is being sampled."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.seen: list[Facts] = []
        self.focus = -1
        self.spoken_of: tuple[str, str] | None = None
        """Colour and kind of the one shape that was spoken of last."""
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
        nth = rng.choice((ORDINALS[number],) * 6 + (("1st", "2nd", "3rd", "4th")[number],))
        text = grammar.expand(rng, rng.choice(names))
        return text.format(nth=nth, k=number + 1, word=("one", "two", "three", "four")[number])

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
