"""Questions about printed text, bar charts, and pictures that show nothing known."""

from __future__ import annotations

from training.demo_model import picture_templates as asked, small_talk, templates
from training.demo_model.pictures.prints import sample_word
from training.demo_model.questions import Question, Questioner
from training.demo_model.replies import ORDINALS, Facts, describe, explain, join, plural, spell
from training.demo_model.scenes import COLOURS, KINDS

_NEAR = (
    templates.COLOUR_OF_KIND, templates.KIND_OF_COLOUR, templates.IS_THERE, templates.COUNT_KIND,
)  # fmt: skip


def _shape_question(q: Questioner, at: str) -> str:
    """Ask about a shape, whatever the picture shows."""
    kind, colour = q.rng.choice(KINDS), q.rng.choice(COLOURS)
    x = q.rng.choice((kind, f"{colour} {kind}"))
    return q.ask(q.rng.choice(_NEAR), at, s=kind, c=colour, x=x)


def ask_about_print(q: Questioner, facts: Facts, at: str) -> Question:
    """Ask about printed text."""
    rng = q.rng
    words = [word for line in facts["lines"] for word in line.split()]
    said, style = spell(" ".join(words)), rng.random()
    if style < 0.5:
        return q.ask(asked.READ, at), f"It says {said}.", "read"
    if style < 0.62:
        return q.ask(templates.DESCRIBE, at), describe(facts), "describe"
    if style < 0.72:
        yes = rng.random() < 0.5
        word = rng.choice(words) if yes else sample_word(rng).lower()
        text = q.ask(asked.SAYS, at, q=rng.choice(('"{}"', "{}")).format(word))
        yes = word.lower() in (w.lower() for w in words)
        return text, f"{'Yes' if yes else 'No'}, it says {said}.", "says"
    if style < 0.78 and len(words) > 1:
        place = rng.randrange(min(4, len(words)))
        text = q.ask(asked.WHICH_WORD, at, nth=ORDINALS[place])
        return text, f"The {ORDINALS[place]} word is {spell(words[place])}.", "which word"
    if style < 0.84:
        return q.ask(asked.HOW_MANY_WORDS, at), f"I see {plural(len(words), 'word')}.", "count"
    if style < 0.88 and facts["ink"]:
        return q.ask(asked.INK, at), f"The text is {facts['ink']}.", "ink"
    if style < 0.93:
        return q.ask(asked.EVERYTHING, at), explain(facts), "everything"
    return _shape_question(q, at), "I see no shape, only printed text.", "false"


def ask_about_chart(q: Questioner, facts: Facts, at: str) -> Question:
    """Ask about a bar chart."""
    rng, names, values = q.rng, facts["names"], facts["values"]
    style = rng.random()
    if style < 0.18:
        tallest = names[values.index(max(values))]
        return q.ask(asked.TALLEST, at), f"The tallest bar is {spell(tallest)}.", "tallest"
    if style < 0.34:
        shortest = names[values.index(min(values))]
        return q.ask(asked.SHORTEST, at), f"The shortest bar is {spell(shortest)}.", "shortest"
    if style < 0.46:
        title = f"The title is {spell(facts['title'])}."
        return q.ask(asked.TITLE, at), title if facts["title"] else "It has no title.", "title"
    if style < 0.6 and facts["printed"]:
        number = rng.randrange(len(names))
        text = q.ask(asked.VALUE, at, b=names[number])
        return text, f"It is {values[number]}.", "value"
    if style < 0.72:
        first, second = rng.sample(range(len(names)), 2)
        text = q.ask(asked.COMPARE_BARS, at, b=names[first], c=names[second])
        if values[first] == values[second]:
            return text, "They are equal.", "compare bars"
        taller = first if values[first] > values[second] else second
        return text, f"{spell(names[taller])} is taller.", "compare bars"
    if style < 0.78:
        return q.ask(asked.HOW_MANY_BARS, at), f"I see {plural(len(names), 'bar')}.", "count"
    if style < 0.85:
        labels = join([spell(name) for name in names])
        return q.ask(asked.BAR_LABELS, at), f"The bars are {labels}.", "labels"
    if style < 0.93:
        return q.ask(templates.DESCRIBE, at), describe(facts), "describe"
    if style < 0.96:
        return q.ask(asked.EVERYTHING, at), explain(facts), "everything"
    return _shape_question(q, at), "I see no shape, only a bar chart.", "false"


def ask_about_unknown(q: Questioner, facts: Facts, at: str) -> Question:
    """Ask anything about a picture that shows nothing known, or text too small to read."""
    grammars = q.rng.choice(
        (templates.DESCRIBE, templates.DESCRIBE, templates.COLOUR_ASKED, templates.COUNT,
         asked.READ, asked.EVERYTHING, templates.KIND_ASKED, asked.TALLEST)
    )  # fmt: skip
    text = _shape_question(q, at) if q.rng.random() < 0.25 else q.ask(grammars, at)
    if facts["family"] == "unreadable":
        return text, small_talk.UNREADABLE, "unreadable"
    return text, small_talk.FOREIGN, "foreign"
