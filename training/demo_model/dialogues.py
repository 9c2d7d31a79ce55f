"""Training dialogues about scenes, with the replies that the demo model should give.

`sample_dialogue` needs the facts of the pictures only, not their pixels. Its rules
of reference: a picture named by its place is meant; "it" means the picture of the
last question; anything else means the picture attached last.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from training.demo_model import grammar, reference_templates as refs, small_talk
from training.demo_model.questions import PictureQuestioner, Question
from training.demo_model.replies import (
    NUMBERS,
    ORDINALS,
    PictureFacts,
    compare,
    list_shapes,
    with_article,
)
from training.demo_model.scenes import COLOURS, KINDS


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its reply; ``pictures`` are the numbers (from 0) of those attached."""

    text: str
    reply: str
    family: str
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Exchanges, and the system prompt where there is one."""

    exchanges: tuple[Exchange, ...]
    system: str | None = None


class _Questioner(PictureQuestioner):
    """Questions about several pictures, and small talk."""

    def follow_up(self) -> Question | None:
        """Ask on about the shape of the last question: "And its shape?"."""
        if self.focus < 0 or self.spoken_of is None:
            return None
        colour, kind = self.spoken_of
        facts = self.seen[self.focus].facts
        if len(facts) == 2 and self.rng.random() < 0.5:
            self.spoken_of = facts[1 - facts.index((colour, kind))]
            other = with_article(" ".join(self.spoken_of))
            return self.pick(refs.OTHER), f"The other shape is {other}.", "other"
        if self.rng.random() < 0.5:
            return self.pick(refs.ITS_COLOUR), f"It is {colour}.", "its colour"
        return self.pick(refs.ITS_KIND), f"It is {with_article(kind)}.", "its kind"

    def comparison(self) -> Question:
        """Ask about several pictures."""
        rng, count = self.rng, len(self.seen)
        self.spoken_of = None
        if rng.random() < 0.25:
            number = rng.randrange(count)
            if facts := self.seen[number].facts:
                colour, kind = rng.choice(facts)
                asked = rng.choice((kind, f"{colour} {kind}"))
                shown = [{*(k for _, k in s.facts), *map(" ".join, s.facts)} for s in self.seen]
                if sum(asked in names for names in shown) == 1:
                    self.focus = number
                    text = self.pick(refs.WHICH_PICTURE).format(x=asked)
                    reply = f"The {ORDINALS[number]} picture shows {list_shapes(facts)}."
                    return text, reply, "which"
        if count == 2 and rng.random() < 0.75:
            text = self.pick(refs.COMPARE + refs.COMPARE + refs.SAME)
            return text, compare(self.seen, [0, 1]), "compare"
        if count == 3 and rng.random() < 0.5:
            return self.pick(refs.COMPARE_ALL), compare(self.seen, [0, 1, 2]), "compare three"
        a, b = pair = rng.sample(range(count), 2)
        text = self.pick(refs.COMPARE_PAIR).format(a=self.reference(a), b=self.reference(b))
        return text, compare(self.seen, sorted(pair)), "compare"

    def missing(self) -> Question:
        """Ask about a picture that is not there."""
        rng, number = self.rng, len(self.seen)
        other = _Questioner(rng)
        if number == 0:
            other.seen = [self._any_facts() for _ in range(rng.choice((1, 1, 2)))]
            if len(other.seen) == 2 and rng.random() < 0.5:
                text = other.comparison()[0]
            else:
                text = other.about(rng.randrange(len(other.seen)), rng.random() < 0.3)[0]
            return text, small_talk.NO_PICTURE, "no picture"
        other.seen = [*self.seen, *[self._any_facts()] * (3 - number)]
        wanted = rng.randrange(number, 3)
        other.only_name = grammar.expand(rng, rng.choice(refs.REFERENCES)).format(
            nth=ORDINALS[wanted], k=wanted + 1, word=NUMBERS[wanted + 1]
        )
        text = other.about(wanted, True)[0]
        return text, f"I only see {NUMBERS[number]} picture{'s' if number > 1 else ''}.", "missing"

    def _any_facts(self) -> PictureFacts:
        return PictureFacts(((self.rng.choice(COLOURS), self.rng.choice(KINDS)),), "light")

    def off_topic(self) -> Question:
        """Make small talk, or ask for something that must be refused."""
        rng = self.rng
        if rng.random() < 0.68:
            return (
                small_talk.sample_refused_request(rng, KINDS), small_talk.REFUSAL, "refusal",
            )  # fmt: skip
        weights = [weight for *_, weight in small_talk.SMALL_TALK]
        grammars, reply, _ = rng.choices(small_talk.SMALL_TALK, weights)[0]
        return self.pick(grammars), reply, "small talk"


def sample_dialogue(
    rng: Random,
    seen: list[PictureFacts],
    *,
    turns: int,
    off_topic: float = 0.14,
    system: float = 0.08,
) -> Dialogue:
    """Sample a dialogue over none to three pictures, attached in any turns.

    ``off_topic`` is the share of turns that are small talk or refusals, ``system``
    that of dialogues with a system prompt.
    """
    questioner, exchanges = _Questioner(rng), []
    waiting = list(range(len(seen)))
    for turn in range(turns):
        # 1) attach pictures: all of them before the turns run out
        attached: tuple[int, ...] = ()
        left = turns - turn
        opening = turn == 0 and rng.random() < 0.8
        if waiting and (opening or len(waiting) >= left or rng.random() < 0.45):
            together = rng.choice((2, 3)) if rng.random() < 0.15 or len(waiting) > left else 1
            attached, waiting = tuple(waiting[:together]), waiting[together:]
            questioner.seen += [seen[i] for i in attached]
        # 2) ask, mostly about a new picture where there is one
        question = (
            _about_new(questioner, len(attached))
            if attached
            else _about_earlier(questioner, off_topic)
        )
        text, reply, family = question
        # 3) type it as users do
        is_question = family != "small talk" or text.split()[0] in ("who", "what", "how", "are")
        text = grammar.vary(rng, text, question=is_question)
        exchanges.append(Exchange(text, reply, family, attached))
    prompt = rng.choice(small_talk.SYSTEM_PROMPTS) if rng.random() < system else None
    return Dialogue(tuple(exchanges), prompt)


def _about_new(questioner: _Questioner, attached: int) -> Question:
    """Sample a question that comes with ``attached`` pictures."""
    rng, count = questioner.rng, len(questioner.seen)
    draw = rng.random()
    if draw < 0.01 and count < 3:
        return questioner.missing()
    if draw < 0.03:
        return questioner.off_topic()
    if (count > 1 and draw < 0.12) or (attached > 1 and draw < 0.5):
        return questioner.comparison()
    if attached > 1:
        return questioner.about(rng.choice(range(count - attached, count)), True)
    return questioner.about(count - 1, count > 1 and rng.random() < 0.2)


def _about_earlier(questioner: _Questioner, off_topic: float) -> Question:
    """Sample a question of a turn without a new picture."""
    rng, count = questioner.rng, len(questioner.seen)
    draw, question = rng.random(), None
    if draw < off_topic:
        return questioner.off_topic()
    if count == 0:
        return questioner.missing() if rng.random() < 0.5 else questioner.off_topic()
    if count < 3 and draw < off_topic + 0.02:
        return questioner.missing()
    if draw < off_topic + 0.2:
        question = questioner.follow_up()
    elif count > 1 and draw < off_topic + 0.3:
        question = questioner.comparison()
    elif count > 1 and draw < off_topic + 0.74:
        question = questioner.about(rng.randrange(count), True)
    last = count - 1
    return question or questioner.about(last, questioner.focus != last or rng.random() < 0.1)
