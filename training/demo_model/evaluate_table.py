"""Evaluation of a model by the product's own engine, over sessions of several turns.

    python -m training.demo_model.evaluate_table [--model FOLDER] [--seed N] [--questions 300]

Every picture and conversation is freshly drawn (another seed each time unless ``--seed`` names
one), with fonts and words that training never sees. The model's own earlier replies stand in the
history. A reply is right when it names what the wanted one names: the same colours, shapes,
numbers, places and yes or no, and the same text between quotation marks.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from assistant.values.events import ReplyEnded
from assistant.values.sampling import Sampling
from assistant.worker.client import LocalCore
from storage.store import Store
from training.demo_model import small_talk
from training.demo_model.dialogues import sample_dialogue
from training.demo_model.pictures import charts, foreign, prints, shapes
from training.demo_model.pictures.drawing import Drawing, add_noise, compress, tilt
from training.demo_model.replies import NUMBERS, ORDINALS, Facts, describe, plain
from training.demo_model.scenes import COLOURS, GROUNDS, KINDS
from training.demo_model.score import Score

_NAMES = frozenset(
    (*COLOURS, *KINDS, *GROUNDS, *NUMBERS, *ORDINALS, "yes", "nothing", "left", "right", "above",
     "below", "highest", "lowest", "largest", "smallest", "bar", "text", "equal", "tallest",
     "shortest")
)  # fmt: skip
_FIXED = (
    small_talk.HELLO, small_talk.WELCOME, small_talk.GOODBYE, small_talk.IDENTITY, small_talk.FINE,
    small_talk.GLAD, small_talk.REFUSAL, small_talk.LANGUAGE, small_talk.FOREIGN,
    small_talk.UNREADABLE, small_talk.NO_PICTURE,
)  # fmt: skip
_UNKNOWN = (
    small_talk.REFUSAL, small_talk.LANGUAGE, small_talk.FOREIGN, small_talk.UNREADABLE,
)  # fmt: skip
_MODEST = re.compile(r"can't|cannot|don't|only|too small|no shape|nothing that I know")


def named(text: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """List what a reply names: the known words and numbers, and what it quotes."""
    quoted = tuple(re.findall(r'"([^"]*)"', text))
    rest = re.sub(r'"[^"]*"', " ", text).lower()
    words = set(re.findall(r"[a-z]+|\d+", rest))
    words |= {word.removesuffix("s") for word in words}
    return frozenset(word for word in words if word in _NAMES or word.isdigit()), quoted


def is_right(reply: str, wanted: str) -> bool:
    """Check that a reply says what the wanted one says."""
    if wanted in _UNKNOWN:
        said, quoted = named(reply)
        return bool(_MODEST.search(reply)) and not quoted and not said & {*COLOURS, *KINDS}
    if wanted in _FIXED:
        return reply.split()[:2] == wanted.split()[:2]
    (said, quoted), (asked, quotes) = named(reply), named(wanted)
    if not asked & set(GROUNDS):  # saying more than was asked is not wrong
        said -= set(GROUNDS)
    return (said, quoted) == (asked, quotes)


class Sessions:
    """Sessions with a model in its worker process; pictures pass through files."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder, self._count = engine, folder, 0

    def ask(
        self,
        session: str | None,
        text: str,
        images: Iterable[Image.Image] = (),
        num_crops: int | None = None,
    ) -> tuple[str, str]:
        """Attach ``images``, ask; returns (session, reply)."""
        files = []
        for image in images:
            self._count += 1
            path = self.folder / f"{self._count}.png"
            image.save(path, compress_level=1)
            file = self.engine.pictures.open(str(path))
            files.append(replace(file, num_crops=num_crops) if num_crops else file)
            path.unlink()
        draft = Draft(text, tuple(files))
        *_, last = self.engine.send(session, draft, Sampling(max_new_tokens=200))
        if not isinstance(last, ReplyEnded):
            raise RuntimeError(f"no reply to {text!r}: {last}")
        return last.session_id, last.turn.text


@contextmanager
def open_sessions(model: str) -> Iterator[Sessions]:
    """Start a model in its worker, with a store of its own."""
    with tempfile.TemporaryDirectory() as name:
        store = Store.open(Path(name) / "phichat.db")
        engine = Engine(
            store, Model(load_settings(environ={"PHICHAT_HOME": name}), LocalCore(model))
        )
        yield Sessions(engine, Path(name))
        engine.close()


class Table(Score):
    """A score of replies that are compared with the wanted ones."""

    def compare(self, row: str, text: str, reply: str, wanted: str) -> None:
        """Count the reply to a question."""
        self.add(row, is_right(reply, wanted), f"{text!r}: {reply!r}, not {wanted!r}")


def _row(family: str, about: Facts | None) -> str:
    picture, question = family.split(": ")
    if question in ("foreign", "unreadable"):
        return "what it does not know: a picture"
    if question in ("refusal", "no picture", "missing", "false"):
        return "what it does not know: a request"
    if picture == "talk" or question == "it":
        return "conversation"
    if picture != "print" or about is None or "lines" not in about:
        return {"pictures": "several pictures", "print": "reading"}.get(picture, picture)
    text = " ".join(about["lines"])
    what = "a number" if text.isdigit() else "a line" if " " in text else "a word"
    return f"reading: {what}"


Draw = Callable[[Random], Drawing]
CLEAN = 0.0


def _shapes(rng: Random, count: int) -> Drawing:
    return shapes.sample(rng, count, strength=CLEAN)


def _sign(rng: Random) -> Drawing:
    return prints.sign(rng, strength=CLEAN, held_out=True)


def _small_sign(rng: Random) -> Drawing:
    return prints.sign(rng, sizes=(0.03, 0.05), strength=CLEAN, held_out=True)


def _chart(rng: Random) -> Drawing:
    return charts.sample(rng, strength=CLEAN, held_out=True)


def _unknown(rng: Random) -> Drawing:
    return foreign.sample(rng, held_out=True) if rng.random() < 0.7 else prints.unreadable_page(rng)


REGULAR = "shapes in rows and columns"
_ANY: tuple[Draw, ...] = (
    lambda rng: _shapes(rng, 1), lambda rng: _shapes(rng, rng.randint(2, 4)), _sign, _chart,
)  # fmt: skip
FAMILIES: dict[str, tuple[Draw, tuple[int, int]]] = {
    "one shape": (lambda rng: _shapes(rng, 1), (1, 1)),
    "several shapes": (lambda rng: _shapes(rng, rng.randint(2, 4)), (1, 1)),
    REGULAR: (lambda rng: shapes.regular(rng, rng.randint(1, 6)), (1, 1)),
    "reading": (_sign, (1, 1)),
    "chart": (_chart, (1, 1)),
    "several pictures": (lambda rng: rng.choice(_ANY)(rng), (2, 4)),
    "conversation": (lambda rng: _shapes(rng, 1), (0, 1)),
    "what it does not know": (_unknown, (1, 1)),
}
"""Pictures drawn for a family, and the least and most pictures of a session."""


def run_dialogues(sessions: Sessions, table: Table, seed: int, family: str, questions: int) -> None:
    """Hold fresh dialogues of a family until ``questions`` were asked in its rows."""
    draw, (fewest, most) = FAMILIES[family]
    number = asked = 0
    while asked < questions:
        rng = Random(f"{family} {seed} {number}")
        number += 1
        drawings = [draw(rng) for _ in range(rng.randint(fewest, most))]
        off_topic = {"conversation": 0.9, "what it does not know": 0.3}.get(family, 0.08)
        dialogue = sample_dialogue(
            rng,
            [drawing.facts for drawing in drawings],
            turns=len(drawings) + 4,
            off_topic=off_topic,
            system=0,
        )
        session, latest = None, None
        for exchange in dialogue.exchanges:
            images = [drawings[i].image for i in exchange.pictures]
            latest = drawings[exchange.pictures[-1]].facts if exchange.pictures else latest
            session, reply = sessions.ask(session, exchange.text, images)
            row = _row(exchange.family, latest)
            if family in ("several pictures", REGULAR) and not row.startswith("what it does"):
                row = family
            if row.startswith(family):
                table.compare(row, exchange.text, reply, plain(exchange.reply))
                asked += 1


def _square(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, max(8, round(side * image.height / image.width))))


def _corner(image: Image.Image) -> tuple[int, ...]:
    return tuple(int(value) for value in np.asarray(image.convert("RGB"))[1, 1])


def _stretched(image: Image.Image) -> Image.Image:
    wide = Image.new("RGB", (4 * max(image.size), max(image.size)), _corner(image))
    wide.paste(image, (max(image.size), 0))
    return wide


TREATMENTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "clean": lambda image: image,
    "JPEG, quality 30": lambda image: compress(image, 30),
    "noise": lambda image: add_noise(image, 1, 14),
    "blur": lambda image: image.filter(ImageFilter.GaussianBlur(max(image.size) / 400)),
    "tilted by 10 degrees": lambda image: tilt(
        Drawing(image, {}), 10, _corner(image)
    ).image,
    "100 pixels": lambda image: _square(image, 100),
    "3000 pixels": lambda image: _square(image, 3000),
    "four times as wide as high": _stretched,
}  # fmt: skip


def run_treatments(sessions: Sessions, table: Table, seed: int, questions: int) -> None:
    """Describe the same pictures of shapes and words, clean and treated in each way."""
    for number in range(questions):
        rng = Random(f"treated {seed} {number}")
        drawing = _shapes(rng, rng.randint(1, 3)) if number % 2 else _sign(rng)
        dialogue = "What do you see?" if number % 2 else "What does it say?"
        for name, treat in TREATMENTS.items():
            _, reply = sessions.ask(None, dialogue, [treat(drawing.image)])
            table.compare(f"robustness: {name}", dialogue, reply, _wanted(drawing.facts))


def _wanted(facts: Facts) -> str:
    if facts["family"] == "print":
        return f'It says "{" ".join(facts["lines"])}".'
    return plain(describe(facts))


def run_crops(sessions: Sessions, table: Table, seed: int, questions: int) -> None:
    """Ask about small print and about a small shape at one crop and at four."""
    for number in range(questions):
        rng = Random(f"crops {seed} {number}")
        for what, text, drawing in (
            ("print", "What does it say?", _small_sign(rng)),
            ("shape", "What do you see?", shapes.regular(rng, 1, small=True)),
        ):
            image = _square(drawing.image, 1400)
            for num_crops in (1, 4):
                _, reply = sessions.ask(None, text, [image], num_crops)
                row = f"small {what} at {num_crops} crop{'s' if num_crops > 1 else ''}"
                table.compare(row, text, reply, _wanted(drawing.facts))


def main() -> None:
    """Parse the command line, evaluate, print the table and some mistakes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="demo", help="a model's name or folder")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--questions", type=int, default=300, help="of each family")
    parser.add_argument(
        "--family", action="append", choices=FAMILIES, help="only this one; may be repeated"
    )
    parser.add_argument("--mistakes", type=int, default=4, help="shown of each family")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    table = Table()
    with open_sessions(args.model) as sessions:
        for family in args.family or FAMILIES:
            run_dialogues(sessions, table, args.seed, family, args.questions)
        if not args.family:
            run_treatments(sessions, table, args.seed, args.questions // 4)
            run_crops(sessions, table, args.seed, args.questions // 4)
    table.show(args.mistakes)


if __name__ == "__main__":
    main()
