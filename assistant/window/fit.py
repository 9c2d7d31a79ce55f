"""Making a question fit: fewer crops of its pictures, or a sentence that says what would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assistant.values.context import Seen
from assistant.values.conversation import Picture, Turn
from assistant.window import details as crops
from assistant.window.count import Counter


def fitted(question: Turn, counter: Counter, *, budget: int, room: int, fresh: bool) -> Turn:
    """The question with as many crops a picture as there is room for.

    ``budget`` is the positions of a whole prompt, ``room`` what the question
    may take of it. With ``fresh`` the pictures were never shown to the model:
    a number that a person chose stays, the others are chosen so that room is
    left. Else they stay as they were shown if they fit, whoever chose.
    Unchanged when nothing fits.
    """
    pictures = question.pictures
    for_pictures = room - _cost(question, (), counter)
    if not fresh and _cost(question, pictures, counter) <= room:
        return question

    def cost(numbers: Sequence[int]) -> int:
        return sum(counter.picture(p) for p in _at(pictures, numbers))

    options = {"default": counter.facts.num_crops, "budget": budget, "room": for_pictures}
    chosen = crops.choose(pictures, cost, **options)
    if chosen is None and not fresh:
        open_ = [replace(picture, num_crops=None) for picture in pictures]
        chosen = crops.choose(open_, cost, **options)
    if chosen is None:
        return question
    changed = (
        before if counter.num_crops(before) == counter.num_crops(after) else after
        for before, after in zip(pictures, _at(pictures, chosen), strict=True)
    )
    return replace(question, pictures=tuple(changed))


def advice(question: Turn, counter: Counter, room: int) -> str | None:
    """What would fit into ``room``; None when it is not the question that is too long."""
    pictures = question.pictures

    def at_most(number: int, shown: Sequence[Picture] = pictures) -> int:
        numbers = [min(counter.num_crops(picture), number) for picture in shown]
        return _cost(question, _at(shown, numbers), counter)

    if pictures and at_most(1) <= room:
        most = next(number for number in crops.CROPS if at_most(number) <= room)
        return f"with at most {count(most, 'crop')} a picture it would fit"
    text = at_most(1, ())
    if pictures and text <= room:
        fitting = sum(at_most(1, pictures[: n + 1]) <= room for n in range(len(pictures)))
        if fitting:
            return f"{fitting} of the {len(pictures)} would fit, at one crop each"
        return "it would fit without the pictures"
    empty = counter.message("")
    if room <= empty:
        return None
    kept, takes = question.text, text
    while takes > room:  # characters differ in what they take: what is named has been tried
        kept = kept[: len(kept) * (room - empty) // (takes - empty)]
        takes = counter.message(kept)
    shorten = f"shorten the text by about {count(len(question.text) - len(kept), 'character')}"
    return f"leave the pictures out and {shorten}" if pictures else shorten


def count(number: int, what: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _at(pictures: Sequence[Picture], numbers: Sequence[int]) -> tuple[Picture, ...]:
    return tuple(
        replace(picture, num_crops=number)
        for picture, number in zip(pictures, numbers, strict=True)
    )


def _cost(question: Turn, pictures: Sequence[Picture], counter: Counter) -> int:
    return counter.turn(Seen(replace(question, pictures=tuple(pictures))))
