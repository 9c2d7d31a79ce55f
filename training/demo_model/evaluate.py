"""Examines the shipped model through the product's own loader, processor and template.

    python -m training.demo_model.evaluate [--model FOLDER] [--seed N] [--scale 1.0]

Everything runs free: the model's own answers stand in the history. Two parts:
fresh conversations of the trained kind, exact replies counted by family; and
an examination by a stranger (`unseen`), where a reply counts as right when it
names what it should and nothing else of its kind.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import torch
from PIL import Image
from transformers import DynamicCache

from assistant.demo_model import folder
from assistant.phi3v import Phi3VForCausalLM, Phi3VProcessor
from assistant.phi3v.template import render
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import Picture, Role, Turn
from assistant.values.prompt import Slot
from training.demo_model import evaluate_unseen as unseen, small_talk as elsewhere
from training.demo_model.dialogues import converse
from training.demo_model.drawing import draw
from training.demo_model.replies import Seen
from training.demo_model.scenes import COLOURS, KINDS, sample

_NOW = datetime(2000, 1, 1, tzinfo=UTC)


class Witness:
    """A loaded model folder that answers questions."""

    def __init__(self, model: Path) -> None:
        self.model = Phi3VForCausalLM.from_pretrained(model).float().eval()
        self.processor = Phi3VProcessor.from_pretrained(model)
        self.vocabulary = Vocabulary.from_folder(model)

    def begin(self, system: str | None = None) -> Chat:
        """A new conversation."""
        return Chat(self, system)


class Chat:
    """One conversation, greedy, with the replies' ids replayed as they were generated."""

    def __init__(self, witness: Witness, system: str | None) -> None:
        self.witness, self.system = witness, system
        self.turns: list[Turn] = []
        self.embedded: list[torch.Tensor] = []

    @torch.no_grad()
    def ask(self, text: str, images: Iterable[Image.Image] = (), *, most: int = 64) -> str:
        """Attach ``images``, ask, and return the reply."""
        witness = self.witness
        pictures = []
        for image in images:
            inputs = witness.processor.image_processor([image], return_tensors="pt")
            self.embedded += witness.model.get_image_features(
                inputs["pixel_values"], inputs["image_sizes"]
            )
            pictures.append(
                Picture(len(self.embedded), "", "", str(len(self.embedded) - 1), "", *image.size)
            )
        self.turns.append(Turn("", None, Role.USER, text, _NOW, tuple(pictures)))
        prompt = render(self.turns, witness.vocabulary, self._slot, system=self.system)
        embed = witness.model.model.embed_tokens
        parts = [
            self.embedded[int(p.pixels_sha256)] if isinstance(p, Slot) else embed(torch.tensor(p))
            for p in prompt.parts
        ]
        cache = DynamicCache()
        hidden = torch.cat(parts)[None]
        reply: list[int] = []
        while len(reply) < most:
            logits = witness.model(
                inputs_embeds=hidden, past_key_values=cache, logits_to_keep=1
            ).logits
            token = int(logits[0, -1].argmax())
            reply.append(token)
            if token in witness.vocabulary.stop_ids:
                break
            hidden = embed(torch.tensor([[token]]))
        said = witness.vocabulary.decode(reply)
        self.turns.append(Turn("", None, Role.ASSISTANT, said, _NOW, token_ids=tuple(reply)))
        return said

    def _slot(self, picture: Picture) -> Slot:
        index = int(picture.pixels_sha256)
        return Slot(picture.pixels_sha256, 1, self.embedded[index].shape[0])


class Score:
    """Right and asked by family, with the first few mistakes."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.mistakes: dict[str, list[str]] = defaultdict(list)

    def add(self, family: str, right: bool, note: str) -> None:
        """Count one reply."""
        self.counts[family][0] += right
        self.counts[family][1] += 1
        if not right:
            self.mistakes[family].append(note)

    def table(self) -> str:
        """A Markdown table."""
        rows = [f"| {f} | {r} / {n} | {100 * r / n:.1f} |" for f, (r, n) in self.counts.items()]
        return "\n".join(("| family | right | % |", "|---|---|---|", *rows))


def names(reply: str, wanted: Iterable[str], among: Iterable[str]) -> bool:
    """Whether a reply names exactly ``wanted`` of the words ``among``."""
    said = set(re.findall(r"[a-z]+", reply.lower()))
    said |= {word.removesuffix("s") for word in said}
    return {word for word in among if word in said} == set(wanted)


def conversations(witness: Witness, score: Score, seed: int, count: int) -> None:
    """Fresh conversations of the trained kind: exact replies, by family."""
    for number in range(count):
        rng = Random(f"evaluate {seed} {number}")
        shapes = 1 if rng.random() < 0.75 else 2
        scenes = [sample(rng, shapes) for _ in range(rng.choices((0, 1, 2, 3), (1, 5, 8, 6))[0])]
        talk = converse(
            rng,
            [Seen(s.facts, s.ground) for s in scenes],
            turns=rng.randint(len(scenes) + 1, len(scenes) + 4),
        )
        chat = witness.begin(talk.system)
        for exchange in talk.exchanges:
            reply = chat.ask(exchange.text, [draw(scenes[i]) for i in exchange.pictures])
            shown = [scene.facts for scene in scenes[: len(chat.embedded)]]
            note = f"{shown} {exchange.text!r}: {reply!r}, not {exchange.reply!r}"
            kind = (
                "talk"
                if not scenes
                else f"{('one shape', 'two shapes')[shapes - 1]}, {len(shown)} pictures"
            )
            score.add(f"own style, by pictures: {kind}", reply == exchange.reply, note)
            score.add(f"own style: {exchange.family}", reply == exchange.reply, note)


def stranger(witness: Witness, score: Score, seed: int, count: int) -> None:
    """Single shapes in another hand, with follow-ups and a second picture in turn 3."""
    for number in range(count):
        rng = Random(f"stranger {seed} {number}")
        image, [(colour, shape)], _ = unseen.picture(rng)
        later, [(colour2, shape2)], _ = unseen.picture(rng)
        chat = witness.begin()

        def test(
            family: str, text: str, words: list[str], among: Iterable[str], *images: Image.Image
        ) -> None:
            reply = chat.ask(text, images)  # noqa: B023
            truth = f"{colour} {shape}, then {colour2} {shape2}"  # noqa: B023
            score.add(
                f"stranger: {family}", names(reply, words, among), f"{truth}: {text!r}: {reply!r}"
            )

        ask_colour, ask_shape = (
            rng.choice(unseen.COLOUR_QUESTIONS),
            rng.choice(unseen.SHAPE_QUESTIONS),
        )
        if number % 2 == 0:
            test("colour, first turn", ask_colour.format(s=shape), [colour], COLOURS, image)
            test(
                "shape, follow-up",
                rng.choice(("And its shape?", "Which shape is it?", ask_shape.format(c=colour))),
                [shape],
                KINDS,
            )
        else:
            test("shape, first turn", ask_shape.format(c=colour), [shape], KINDS, image)
            again = ("And what colour is it?", "And its color?", ask_colour.format(s=shape))
            test("colour, follow-up", rng.choice(again), [colour], COLOURS)
        test(
            "second picture in turn 3", rng.choice(unseen.SECOND_COLOUR), [colour2], COLOURS, later
        )
        test("colour of the first again", rng.choice(unseen.FIRST_COLOUR), [colour], COLOURS)
        test("shape of the first again", rng.choice(unseen.FIRST_SHAPE), [shape], KINDS)
        test("difference, colours", rng.choice(unseen.DIFFERENCES), [colour, colour2], COLOURS)


def stranger_two(witness: Witness, score: Score, seed: int, count: int) -> None:
    """Two shapes in another hand."""
    for number in range(count):
        rng = Random(f"stranger two {seed} {number}")
        image, pairs, _ = unseen.picture(rng, 2)
        chat = witness.begin()
        reply = chat.ask(
            rng.choice(("What do you see?", "Describe the picture.", "Which shapes are there?")),
            [image],
        )
        right = all(f"{colour} {shape}" in reply for colour, shape in pairs)
        score.add("stranger, two shapes: describe", right, f"{pairs}: {reply!r}")
        colour, shape = pairs[0]
        if pairs[1][1] != shape:
            reply = chat.ask(rng.choice(unseen.COLOUR_QUESTIONS).format(s=shape))
            score.add(
                "stranger, two shapes: colour",
                names(reply, [colour], COLOURS),
                f"{pairs} {shape}: {reply!r}",
            )
        if pairs[1][0] != colour:
            reply = chat.ask(f"Which shape is {colour}?")
            score.add(
                "stranger, two shapes: shape",
                names(reply, [shape], KINDS),
                f"{pairs} {colour}: {reply!r}",
            )


def manners(witness: Witness, score: Score, seed: int, *, every: int = 1) -> None:
    """Refusals with and without a picture, questions without one, and who it is.

    ``every`` 4 asks a quarter of the refusals.
    """
    rng = Random(f"manners {seed}")
    for text in unseen.REFUSE[::every]:
        for where, images in (("no picture", []), ("with a picture", [unseen.picture(rng)[0]])):
            reply = witness.begin().ask(text, images)
            honest = reply == elsewhere.REFUSAL or (not images and reply == elsewhere.NO_PICTURE)
            score.add(f"refusal, {where}", honest, f"{text!r}: {reply!r}")
    for text in unseen.NO_PICTURE:
        reply = witness.begin().ask(text)
        score.add("asked without a picture", reply == elsewhere.NO_PICTURE, f"{text!r}: {reply!r}")
    for text in unseen.ABOUT:
        reply = witness.begin().ask(text)
        score.add("who it is", reply == elsewhere.IDENTITY, f"{text!r}: {reply!r}")


def main() -> None:
    """Parse the command line, examine, print a table and some mistakes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=folder())
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="how much to ask: 1 is the full examination"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    witness, score = Witness(args.model), Score()
    stranger(witness, score, args.seed, round(200 * args.scale))
    manners(witness, score, args.seed)
    stranger_two(witness, score, args.seed, round(100 * args.scale))
    conversations(witness, score, args.seed, round(300 * args.scale))
    print(score.table())
    for family, notes in score.mistakes.items():
        print(f"\n{family}:")
        print("\n".join(f"  {note}" for note in notes[:6]))
    if args.json:
        args.json.write_text(json.dumps(score.counts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
