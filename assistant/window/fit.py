"""Fit of a question: less detail for its pictures, or a sentence with the change that would fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from assistant.values.context import Seen
from assistant.values.conversation import Picture, Turn
from assistant.values.prompt import PictureFormat
from assistant.values.words import counted
from assistant.window.count import Counter

COMFORT = 1 / 3
"""Share of the prompt that the pictures of one turn may take before they get less detail, so that
three turns with pictures fit together. It is no smaller, because less detail loses small print."""


def choose_details(
    pictures: Sequence[Picture],
    cost: Callable[[Sequence[int]], int],
    *,
    form: PictureFormat,
    budget: int,
    room: int,
) -> tuple[int, ...] | None:
    """Choose the detail of each picture of a turn; None when they don't fit at the coarsest.

    ``cost`` counts the positions of all pictures at these details. ``budget`` is the positions of
    a whole prompt, ``room`` those left for these pictures. A detail that is stored with a picture
    is kept. The others share the default, or the first coarser detail that brings the turn's
    pictures down to :data:`COMFORT`.
    """
    for step in (form.default, *(d for d in form.details if d < form.default)):
        details = tuple(picture.num_crops or step for picture in pictures)
        if cost(details) <= min(room, budget * COMFORT):
            return details
    return details if cost(details) <= room else None


def fit_question(question: Turn, counter: Counter, *, budget: int, room: int, fresh: bool) -> Turn:
    """Give the question's pictures as much detail as there is room for.

    ``budget`` is the positions of a whole prompt, ``room`` those that the question may take. With
    ``fresh`` the pictures were never shown to the model: a detail that the user chose stays, the
    others are chosen. Else all stay as they were shown if they fit; if not, the user's choices are
    replaced last. The question is unchanged when nothing fits.
    """
    pictures = question.pictures
    if not fresh and _cost(question, pictures, counter) <= room:
        return question

    def cost(details: Sequence[int]) -> int:
        return sum(counter.layout(p).tokens for p in _in(pictures, details))

    def choose(asked: Sequence[Picture]) -> tuple[int, ...] | None:
        left = room - _cost(question, (), counter)
        return choose_details(asked, cost, form=counter.pictures, budget=budget, room=left)

    chosen = choose(pictures)
    if chosen is None and not fresh:
        chosen = choose([replace(picture, num_crops=None) for picture in pictures])
    if chosen is None:
        return question
    changed = (
        before if counter.layout(before).detail == counter.layout(after).detail else after
        for before, after in zip(pictures, _in(pictures, chosen), strict=True)
    )
    return replace(question, pictures=tuple(changed))


def advice(question: Turn, counter: Counter, room: int) -> str | None:
    """Name the change that would fit into ``room``; None when no question would."""
    pictures, form = question.pictures, counter.pictures
    coarsest = form.details[-1] if form.details else form.default

    def at_most(detail: int, shown: Sequence[Picture] = pictures) -> int:
        details = [min(counter.layout(picture).detail, detail) for picture in shown]
        return _cost(question, _in(shown, details), counter)

    if form.details and pictures and at_most(coarsest) <= room:
        most = next(detail for detail in form.details if at_most(detail) <= room)
        return f"with at most {counted(most, form.part)} a picture it would fit"
    text = at_most(coarsest, ())
    if pictures and text <= room:
        fitting = sum(at_most(coarsest, pictures[: n + 1]) <= room for n in range(len(pictures)))
        if fitting:
            each = f", at one {form.part} each" if form.details else ""
            return f"{fitting} of the {len(pictures)} would fit{each}"
        return "it would fit without the pictures"
    empty = counter.message("")
    if room <= empty:
        return None
    kept, takes = question.text, text
    while takes > room:  # characters take different numbers of tokens: try the length
        kept = kept[: len(kept) * (room - empty) // (takes - empty)]
        takes = counter.message(kept)
    shorten = f"shorten the text by about {counted(len(question.text) - len(kept), 'character')}"
    return f"leave the pictures out and {shorten}" if pictures else shorten


def _in(pictures: Sequence[Picture], details: Sequence[int]) -> tuple[Picture, ...]:
    return tuple(
        replace(picture, num_crops=detail)
        for picture, detail in zip(pictures, details, strict=True)
    )


def _cost(question: Turn, pictures: Sequence[Picture], counter: Counter) -> int:
    return counter.turn(Seen(replace(question, pictures=tuple(pictures))))
