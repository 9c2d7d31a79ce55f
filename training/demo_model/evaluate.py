"""Evaluation of a model by the product's own engine, on pictures and words that are not trained.

    python -m training.demo_model.evaluate [--model FOLDER] [--seed N] [--scale 1.0]

The model's own replies stand in the history. The pictures and questions are of another style
than those of training (`evaluate_unseen`): a reply is right when it names the right shapes or
colours and no others. What the model should know in all is asked by `evaluate_table`.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from random import Random

from PIL import Image

from training.demo_model import evaluate_unseen as unseen, small_talk
from training.demo_model.evaluate_table import Sessions, open_sessions
from training.demo_model.scenes import COLOURS, KINDS
from training.demo_model.score import Score


def names(reply: str, wanted: list[str]) -> bool:
    """Check that a reply names exactly ``wanted`` of all colours, or of all shapes."""
    said = set(re.findall(r"[a-z]+", reply.lower()))
    said |= {word.removesuffix("s") for word in said}
    return said & set(COLOURS if wanted[0] in COLOURS else KINDS) == set(wanted)


def single_shapes(sessions: Sessions, score: Score, seed: int, count: int) -> None:
    """Ask about unseen single shapes, with follow-ups and a second picture in turn 3."""
    for number in range(count):
        rng = Random(f"single shapes {seed} {number}")
        image, [(colour, shape)], _ = unseen.picture(rng)
        later, [(colour2, shape2)], _ = unseen.picture(rng)
        ask_colour = rng.choice(unseen.COLOUR_QUESTIONS).format(s=shape)
        ask_shape = rng.choice(unseen.SHAPE_QUESTIONS).format(c=colour)
        if number % 2 == 0:
            again = ("And its shape?", "Which shape is it?", ask_shape)
            first = [
                ("colour, first turn", ask_colour, [colour], [image]),
                ("shape, follow-up", rng.choice(again), [shape], []),
            ]
        else:
            again = ("And what colour is it?", "And its color?", ask_colour)
            first = [
                ("shape, first turn", ask_shape, [shape], [image]),
                ("colour, follow-up", rng.choice(again), [colour], []),
            ]
        second = rng.choice(unseen.SECOND_COLOUR)
        session = None
        for family, text, words, images in (
            *first,
            ("second picture in turn 3", second, [colour2], [later]),
            ("colour of the first again", rng.choice(unseen.FIRST_COLOUR), [colour], []),
            ("shape of the first again", rng.choice(unseen.FIRST_SHAPE), [shape], []),
            ("difference, colours", rng.choice(unseen.DIFFERENCES), [colour, colour2], []),
        ):
            session, reply = sessions.ask(session, text, images)
            note = f"{colour} {shape}, then {colour2} {shape2}: {text!r}: {reply!r}"
            score.add(f"unseen: {family}", names(reply, words), note)


def shape_pairs(sessions: Sessions, score: Score, seed: int, count: int) -> None:
    """Ask about unseen pictures of two shapes."""
    for number in range(count):
        rng = Random(f"shape pairs {seed} {number}")
        image, pairs, _ = unseen.picture(rng, 2)
        describe = ("What do you see?", "Describe the picture.", "Which shapes are there?")
        session, reply = sessions.ask(None, rng.choice(describe), [image])
        right = all(f"{colour} {shape}" in reply for colour, shape in pairs)
        score.add("unseen, two shapes: describe", right, f"{pairs}: {reply!r}")
        (colour, shape), (other_colour, other_shape) = pairs
        if other_shape != shape:
            text = rng.choice(unseen.COLOUR_QUESTIONS).format(s=shape)
            _, reply = sessions.ask(session, text)
            note = f"{pairs} {shape}: {reply!r}"
            score.add("unseen, two shapes: colour", names(reply, [colour]), note)
        if other_colour != colour:
            _, reply = sessions.ask(session, f"Which shape is {colour}?")
            note = f"{pairs} {colour}: {reply!r}"
            score.add("unseen, two shapes: shape", names(reply, [shape]), note)


def refusals(sessions: Sessions, score: Score, seed: int, *, every: int = 1) -> None:
    """Ask what must be refused, about pictures that are missing, and what the model is.

    ``every`` 4 asks a quarter of the refusals.
    """
    rng = Random(f"refusals {seed}")
    nothing, refusal = small_talk.NO_PICTURE[:20], small_talk.REFUSAL[:20]
    asked: list[tuple[str, str, list[Image.Image], set[str]]] = []
    for text in unseen.REFUSE[::every]:
        asked.append(("refusal, no picture", text, [], {refusal, nothing}))
        asked.append(("refusal, with a picture", text, [unseen.picture(rng)[0]], {refusal}))
    asked += [("asked without a picture", text, [], {nothing}) for text in unseen.NO_PICTURE]
    asked += [("identity", text, [], {small_talk.IDENTITY[:20]}) for text in unseen.ABOUT]
    for family, text, images, right in asked:
        _, reply = sessions.ask(None, text, images)
        score.add(family, reply.startswith(tuple(right)), f"{text!r}: {reply!r}")


def main() -> None:
    """Parse the command line, evaluate, print a table and some mistakes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="demo", help="a model's name or folder")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the full evaluation's questions"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    score = Score()
    with open_sessions(args.model) as sessions:
        single_shapes(sessions, score, args.seed, round(200 * args.scale))
        refusals(sessions, score, args.seed)
        shape_pairs(sessions, score, args.seed, round(100 * args.scale))
    score.show(mistakes=6)
    if args.json:
        args.json.write_text(json.dumps(score.counts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
