"""Conversations about scenes, as data: what a person says and what the demo model should answer.

`converse` needs the facts of the pictures only, never their pixels. The rules
of reference it follows: a picture named by its place is meant; "it" means the
picture last talked about; anything else means the picture attached last.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from training.demo_model import grammar, reference_templates as refs, small_talk as els
from training.demo_model.questions import Asker
from training.demo_model.replies import NUMBERS, ORDINALS, Seen, a_, compared, listing
from training.demo_model.scenes import COLOURS, KINDS


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer; ``pictures`` are the numbers (from 0) of those attached with
    it."""

    text: str
    reply: str
    family: str
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation."""

    exchanges: tuple[Exchange, ...]
    system: str | None = None


class _Speaker(Asker):
    """Somebody who talks about several pictures, and about other things."""

    def follow_up(self) -> tuple[str, str, str] | None:
        """ "And its shape?": about the shape last spoken of."""
        if self.focus < 0 or self.spoken_of is None:
            return None
        colour, kind = self.spoken_of
        facts = self.seen[self.focus].facts
        if len(facts) == 2 and self.rng.random() < 0.5:
            self.spoken_of = facts[1 - facts.index((colour, kind))]
            return (
                grammar.spoken(self.rng, self.pick(refs.OTHER)),
                f"The other shape is {a_(' '.join(self.spoken_of))}.",
                "other",
            )
        if self.rng.random() < 0.5:
            return (
                grammar.spoken(self.rng, self.pick(refs.ITS_COLOUR)),
                f"It is {colour}.",
                "its colour",
            )
        return grammar.spoken(self.rng, self.pick(refs.ITS_KIND)), f"It is {a_(kind)}.", "its kind"

    def comparison(self) -> tuple[str, str, str]:
        """A question about several pictures."""
        rng, count = self.rng, len(self.seen)
        self.spoken_of = None
        if rng.random() < 0.25:
            number = rng.randrange(count)
            if self.seen[number].facts:
                colour, kind = rng.choice(self.seen[number].facts)
                asked = rng.choice((kind, f"{colour} {kind}"))
                hits = [
                    i
                    for i, s in enumerate(self.seen)
                    if any(asked in (k, f"{c} {k}") for c, k in s.facts)
                ]
                if len(hits) == 1:
                    text = self.pick(refs.WHICH_PICTURE).format(x=asked)
                    self.focus = number
                    return (
                        grammar.spoken(rng, text),
                        f"The {ORDINALS[number]} picture shows {listing(self.seen[number].facts)}.",
                        "which",
                    )
        if count == 2 and rng.random() < 0.75:
            return (
                grammar.spoken(rng, self.pick(refs.COMPARE + refs.COMPARE + refs.SAME)),
                compared(self.seen, [0, 1]),
                "compare",
            )
        if count == 3 and rng.random() < 0.5:
            return (
                grammar.spoken(rng, self.pick(refs.COMPARE_ALL)),
                compared(self.seen, [0, 1, 2]),
                "compare three",
            )
        pair = rng.sample(range(count), 2)
        text = self.pick(refs.COMPARE_PAIR).format(
            a=self.reference(pair[0]), b=self.reference(pair[1])
        )
        return grammar.spoken(rng, text), compared(self.seen, sorted(pair)), "compare"

    def missing(self) -> tuple[str, str, str]:
        """A question about a picture that was never sent."""
        rng, number = self.rng, len(self.seen)
        if number == 0:
            speaker = _Speaker(rng)
            speaker.seen = [
                Seen(((rng.choice(COLOURS), rng.choice(KINDS)),), "light")
                for _ in range(rng.choice((1, 1, 2)))
            ]
            if len(speaker.seen) == 2 and rng.random() < 0.5:
                return speaker.comparison()[0], els.NO_PICTURE, "no picture"
            return (
                speaker.about(rng.randrange(len(speaker.seen)), rng.random() < 0.3)[0],
                els.NO_PICTURE,
                "no picture",
            )
        speaker = _Speaker(rng)
        speaker.seen = [
            *self.seen,
            *[Seen(((rng.choice(COLOURS), rng.choice(KINDS)),), "light")] * (3 - number),
        ]
        wanted = rng.randrange(number, 3)
        name = grammar.expand(rng, rng.choice(refs.REFERENCES)).format(
            nth=ORDINALS[wanted], k=wanted + 1, word=NUMBERS[wanted + 1]
        )
        speaker.only_name = name
        text = speaker.about(wanted, True)[0]
        return text, f"I only see {NUMBERS[number]} picture{'s' if number > 1 else ''}.", "missing"

    def aside(self) -> tuple[str, str, str]:
        """Small talk, or something that must be refused."""
        rng = self.rng
        if rng.random() < 0.68:
            return grammar.spoken(rng, els.refused(rng, KINDS)), els.REFUSAL, "refusal"
        grammars, reply, _ = rng.choices(els.SMALL_TALK, [w for *_, w in els.SMALL_TALK])[0]
        text = self.pick(grammars)
        return (
            grammar.spoken(rng, text, question=text.split()[0] in ("who", "what", "how", "are")),
            reply,
            "small talk",
        )


def converse(
    rng: Random, seen: list[Seen], *, turns: int, aside: float = 0.14, system: float = 0.08
) -> Talk:
    """A conversation over some pictures (none to three), attached in any turns.

    ``aside`` is the share of turns that are small talk or refusals.
    """
    speaker, exchanges = _Speaker(rng), []
    waiting = list(range(len(seen)))
    for turn in range(turns):
        attached: tuple[int, ...] = ()
        left = turns - turn
        opening = turn == 0 and rng.random() < 0.8
        if waiting and (opening or len(waiting) >= left or rng.random() < 0.45):
            together = rng.choice((2, 3)) if rng.random() < 0.15 or len(waiting) > left else 1
            attached, waiting = tuple(waiting[:together]), waiting[together:]
            speaker.seen += [seen[i] for i in attached]
        count = len(speaker.seen)
        said: tuple[str, str, str] | None = None
        draw = rng.random()
        if attached:
            if draw < (0.03 if count < 2 else 0.12):
                said = (
                    speaker.missing()
                    if count < 3 and draw < 0.01
                    else speaker.aside()
                    if draw < 0.03
                    else speaker.comparison()
                )
            elif len(attached) > 1 and draw < 0.5:
                said = speaker.comparison()
            elif len(attached) > 1:
                said = speaker.about(rng.choice(range(count - len(attached), count)), True)
            else:
                said = speaker.about(count - 1, count > 1 and rng.random() < 0.2)
        elif draw < aside:
            said = speaker.aside()
        elif count == 0:
            said = speaker.missing() if rng.random() < 0.5 else speaker.aside()
        elif count < 3 and draw < aside + 0.02:
            said = speaker.missing()
        elif draw < aside + 0.2:
            said = speaker.follow_up()
        elif count > 1 and draw < aside + 0.3:
            said = speaker.comparison()
        elif count > 1 and draw < aside + 0.74:
            said = speaker.about(rng.randrange(count), True)
        if said is None:
            said = speaker.about(count - 1, speaker.focus != count - 1 or rng.random() < 0.1)
        exchanges.append(Exchange(said[0], said[1], said[2], attached))
    prompt = rng.choice(els.SYSTEM_PROMPTS) if rng.random() < system else None
    return Talk(tuple(exchanges), prompt)
