"""Dialogues about pictures: questions with the replies to learn."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from training.demo_model import grammar, picture_templates, reference_templates as refs, small_talk
from training.demo_model.print_questions import ask_about_chart, ask_about_print, ask_about_unknown
from training.demo_model.questions import Question, Questioner
from training.demo_model.replies import (
    NUMBERS,
    ORDINALS,
    Facts,
    compare,
    plural,
    summarize,
    with_article,
)
from training.demo_model.scenes import COLOURS, KINDS
from training.demo_model.shape_questions import ask_about_shapes

MOST = 4
"""Pictures of a dialogue."""
_ASK = {
    "shapes": ask_about_shapes, "print": ask_about_print, "chart": ask_about_chart,
    "foreign": ask_about_unknown, "unreadable": ask_about_unknown,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its reply; ``pictures`` are the numbers (from 0) of those attached.

    ``family`` is that of the picture and of the question: "shapes: count".
    """

    text: str
    reply: str
    family: str
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Exchanges, and the system prompt where there is one."""

    exchanges: tuple[Exchange, ...]
    system: str | None = None


class _DialogueQuestioner(Questioner):
    """Questions about several pictures, and small talk."""

    def about(self, number: int, named: bool) -> Question:
        """Ask about one picture; ``named`` names it by its place in the dialogue."""
        facts = self.seen[number]
        self.focus, self.spoken_of = number, None
        text, reply, family = _ASK[facts["family"]](self, facts, self.place(number, named))
        return self.past(text, number), reply, f"{_family(facts)}: {family}"

    def follow_up(self) -> Question | None:
        """Ask on about the shape of the last question: "And its shape?"."""
        if self.focus < 0 or self.spoken_of is None:
            return None
        colour, kind = self.spoken_of
        family = f"{_family(self.seen[self.focus])}: it"
        if self.rng.random() < 0.5:
            return self.pick(refs.ITS_COLOUR), f"It is {colour}.", family
        return self.pick(refs.ITS_KIND), f"It is {with_article(kind)}.", family

    def comparison(self) -> Question:
        """Ask about several pictures."""
        rng, count = self.rng, len(self.seen)
        self.spoken_of, self.focus, style = None, -1, rng.random()
        if style < 0.3 and (question := self._which()):
            return question
        shapes = sum(len(s.get("shapes", ())) for s in self.seen)
        if style < 0.45 and 0 < shapes < len(NUMBERS):
            text = self.pick(picture_templates.COUNT_ALL)
            return text, f"I see {plural(shapes, 'shape')} in all.", "pictures: count"
        if count == 2 and rng.random() < 0.75:
            text = self.pick(refs.COMPARE + refs.COMPARE + refs.SAME)
            return text, compare(self.seen, [0, 1]), "pictures: compare"
        if count == 3 and rng.random() < 0.4:
            text = self.pick(refs.COMPARE_ALL)
            return text, compare(self.seen, [0, 1, 2]), "pictures: compare"
        a, b = pair = rng.sample(range(count), 2)
        text = self.pick(refs.COMPARE_PAIR).format(a=self.reference(a), b=self.reference(b))
        return text, compare(self.seen, sorted(pair)), "pictures: compare"

    def _which(self) -> Question | None:
        """Ask which picture shows a thing, where just one does."""
        rng = self.rng
        number = rng.randrange(len(self.seen))
        facts = self.seen[number]
        names = {"print": ["text", "word"], "chart": ["bar chart", "chart", "graph"]}
        asked = names.get(facts["family"], [])
        if facts["family"] == "shapes":
            colour, kind = rng.choice(facts["shapes"])[:2]
            asked = [kind, f"{colour} {kind}", f"{colour} {kind}"]
        if not asked:
            return None
        word = rng.choice(asked)
        shown = [
            {n for c, k, *_ in s.get("shapes", ()) for n in (k, f"{c} {k}")}
            | set(names.get(s["family"], ()))
            for s in self.seen
        ]
        if sum(word in known for known in shown) != 1:
            return None
        self.focus = number
        text = self.pick(refs.WHICH_PICTURE).format(x=word)
        return text, f"The {ORDINALS[number]} picture shows {summarize(facts)}.", "pictures: which"

    def missing(self) -> Question:
        """Ask about a picture that is not there."""
        rng, number = self.rng, len(self.seen)
        other = _DialogueQuestioner(rng)
        if number == 0:
            other.seen = [self._any_facts()]
            text = other.about(0, rng.random() < 0.3)[0]
            return text, small_talk.NO_PICTURE, "talk: no picture"
        other.seen = [*self.seen, *[self._any_facts()] * (MOST - number)]
        wanted = rng.randrange(number, MOST)
        other.only_name = grammar.expand(rng, rng.choice(refs.REFERENCES)).format(
            nth=ORDINALS[wanted], k=wanted + 1, word=NUMBERS[wanted + 1]
        )
        text = other.about(wanted, True)[0]
        return text, f"I only see {plural(number, 'picture')}.", "talk: missing"

    def _any_facts(self) -> Facts:
        row = [self.rng.choice(COLOURS), self.rng.choice(KINDS), 0.5, 0.5, 0.5]
        return {"family": "shapes", "ground": "light", "shapes": [row]}

    def off_topic(self) -> Question:
        """Make small talk, or ask for something that must be refused."""
        rng = self.rng
        if rng.random() < 0.6:
            return (
                small_talk.sample_refused_request(rng, KINDS), small_talk.REFUSAL, "talk: refusal",
            )  # fmt: skip
        weights = [weight for *_, weight in small_talk.SMALL_TALK]
        grammars, reply, _ = rng.choices(small_talk.SMALL_TALK, weights)[0]
        return self.pick(grammars), reply, "talk: small talk"


def _family(facts: Facts) -> str:
    if facts["family"] == "shapes":
        return "one shape" if len(facts["shapes"]) == 1 else "several shapes"
    return str(facts["family"])


def sample_dialogue(
    rng: Random,
    seen: list[Facts],
    *,
    turns: int,
    off_topic: float = 0.14,
    system: float = 0.08,
) -> Dialogue:
    """Sample a dialogue over none to four pictures, attached in any turns.

    ``off_topic`` is the share of turns that are small talk or refusals, ``system``
    that of dialogues with a system prompt.
    """
    questioner, exchanges = _DialogueQuestioner(rng), []
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
        is_question = family != "talk: small talk" or text.split()[0] in (
            "who",
            "what",
            "how",
            "are",
        )
        text = grammar.vary(rng, text, question=is_question)
        exchanges.append(Exchange(text, reply, family, attached))
    prompt = rng.choice(small_talk.SYSTEM_PROMPTS) if rng.random() < system else None
    return Dialogue(tuple(exchanges), prompt)


def _about_new(questioner: _DialogueQuestioner, attached: int) -> Question:
    """Sample a question that comes with ``attached`` pictures."""
    rng, count = questioner.rng, len(questioner.seen)
    draw = rng.random()
    if draw < 0.01 and count < MOST:
        return questioner.missing()
    if draw < 0.03:
        return questioner.off_topic()
    if (count > 1 and draw < 0.12) or (attached > 1 and draw < 0.5):
        return questioner.comparison()
    if attached > 1:
        return questioner.about(rng.choice(range(count - attached, count)), True)
    return questioner.about(count - 1, count > 1 and rng.random() < 0.2)


def _about_earlier(questioner: _DialogueQuestioner, off_topic: float) -> Question:
    """Sample a question of a turn without a new picture."""
    rng, count = questioner.rng, len(questioner.seen)
    draw, question = rng.random(), None
    if draw < off_topic:
        return questioner.off_topic()
    if count == 0:
        return questioner.missing() if rng.random() < 0.5 else questioner.off_topic()
    if count < MOST and draw < off_topic + 0.02:
        return questioner.missing()
    if draw < off_topic + 0.2:
        question = questioner.follow_up()
    elif count > 1 and draw < off_topic + 0.3:
        question = questioner.comparison()
    elif count > 1 and draw < off_topic + 0.74:
        question = questioner.about(rng.randrange(count), True)
    last = count - 1
    return question or questioner.about(last, questioner.focus != last or rng.random() < 0.1)
