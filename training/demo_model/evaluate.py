"""Evaluation of a model folder through the product's loader, processor and chat template.

    python -m training.demo_model.evaluate [--model FOLDER] [--seed N] [--scale 1.0]

The model's own replies stand in the history. The pictures and questions are of another style
than those of training (`evaluate_unseen`): a reply is right when it names the right shapes or
colours and no others. What the model should know in all is asked by `evaluate_table`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import torch
from PIL import Image
from transformers import DynamicCache

from assistant.demo_model import folder
from assistant.families.chat import ChatTemplate
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.processing import Phi3VProcessor
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import Picture, Role, Turn
from assistant.values.prompt import Slot
from training.demo_model import evaluate_unseen as unseen, small_talk
from training.demo_model.scenes import COLOURS, KINDS
from training.demo_model.score import Score

_NOW = datetime(2000, 1, 1, tzinfo=UTC)


class EvaluatedModel:
    """The model, processor and vocabulary of a folder."""

    def __init__(self, model: Path) -> None:
        self.model = Phi3VForCausalLM.from_pretrained(model).float().eval()
        self.processor = Phi3VProcessor.from_pretrained(model)
        self.vocabulary = Vocabulary.from_folder(model)
        self.chat = ChatTemplate(STYLE, lambda: self.vocabulary)


class Chat:
    """A chat decoded greedily; the ids of its replies are replayed as generated."""

    def __init__(self, evaluated: EvaluatedModel, system: str | None = None) -> None:
        self.evaluated, self.system = evaluated, system
        self.turns: list[Turn] = []
        self.embedded: list[torch.Tensor] = []

    @torch.no_grad()
    def ask(self, text: str, images: Iterable[Image.Image] = (), *, limit: int = 64) -> str:
        """Attach ``images``, ask, and return the reply."""
        evaluated = self.evaluated
        pictures = []
        for image in images:
            inputs = evaluated.processor.image_processor([image], return_tensors="pt")
            self.embedded += evaluated.model.get_image_features(
                inputs["pixel_values"], inputs["image_sizes"]
            )
            pictures.append(
                Picture(len(self.embedded), "", "", str(len(self.embedded) - 1), "", *image.size)
            )
        self.turns.append(Turn("", None, Role.USER, text, _NOW, tuple(pictures)))
        prompt = evaluated.chat.render(self.turns, self._slot, system=self.system)
        embed = evaluated.model.model.embed_tokens
        parts = [
            self.embedded[int(p.pixels_sha256)] if isinstance(p, Slot) else embed(torch.tensor(p))
            for p in prompt.parts
        ]
        cache = DynamicCache()
        hidden = torch.cat(parts)[None]
        reply: list[int] = []
        while len(reply) < limit:
            logits = evaluated.model(
                inputs_embeds=hidden, past_key_values=cache, logits_to_keep=1
            ).logits
            token = int(logits[0, -1].argmax())
            reply.append(token)
            if token in evaluated.vocabulary.stop_ids:
                break
            hidden = embed(torch.tensor([[token]]))
        said = evaluated.vocabulary.decode(reply)
        self.turns.append(Turn("", None, Role.ASSISTANT, said, _NOW, token_ids=tuple(reply)))
        return said

    def _slot(self, picture: Picture) -> Slot:
        index = int(picture.pixels_sha256)
        return Slot(picture.pixels_sha256, 1, self.embedded[index].shape[0])


def names(reply: str, wanted: list[str]) -> bool:
    """Check that a reply names exactly ``wanted`` of all colours, or of all shapes."""
    said = set(re.findall(r"[a-z]+", reply.lower()))
    said |= {word.removesuffix("s") for word in said}
    return said & set(COLOURS if wanted[0] in COLOURS else KINDS) == set(wanted)


def single_shapes(model: EvaluatedModel, score: Score, seed: int, count: int) -> None:
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
        chat = Chat(model)
        for family, text, words, images in (
            *first,
            ("second picture in turn 3", second, [colour2], [later]),
            ("colour of the first again", rng.choice(unseen.FIRST_COLOUR), [colour], []),
            ("shape of the first again", rng.choice(unseen.FIRST_SHAPE), [shape], []),
            ("difference, colours", rng.choice(unseen.DIFFERENCES), [colour, colour2], []),
        ):
            reply = chat.ask(text, images)
            note = f"{colour} {shape}, then {colour2} {shape2}: {text!r}: {reply!r}"
            score.add(f"unseen: {family}", names(reply, words), note)


def shape_pairs(model: EvaluatedModel, score: Score, seed: int, count: int) -> None:
    """Ask about unseen pictures of two shapes."""
    for number in range(count):
        rng = Random(f"shape pairs {seed} {number}")
        image, pairs, _ = unseen.picture(rng, 2)
        chat = Chat(model)
        describe = ("What do you see?", "Describe the picture.", "Which shapes are there?")
        reply = chat.ask(rng.choice(describe), [image])
        right = all(f"{colour} {shape}" in reply for colour, shape in pairs)
        score.add("unseen, two shapes: describe", right, f"{pairs}: {reply!r}")
        (colour, shape), (other_colour, other_shape) = pairs
        if other_shape != shape:
            reply = chat.ask(rng.choice(unseen.COLOUR_QUESTIONS).format(s=shape))
            note = f"{pairs} {shape}: {reply!r}"
            score.add("unseen, two shapes: colour", names(reply, [colour]), note)
        if other_colour != colour:
            reply = chat.ask(f"Which shape is {colour}?")
            note = f"{pairs} {colour}: {reply!r}"
            score.add("unseen, two shapes: shape", names(reply, [shape]), note)


def refusals(model: EvaluatedModel, score: Score, seed: int, *, every: int = 1) -> None:
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
        reply = Chat(model).ask(text, images)
        score.add(family, reply.startswith(tuple(right)), f"{text!r}: {reply!r}")


def main() -> None:
    """Parse the command line, evaluate, print a table and some mistakes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=folder())
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the full evaluation's questions"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, score = EvaluatedModel(args.model), Score()
    single_shapes(model, score, args.seed, round(200 * args.scale))
    refusals(model, score, args.seed)
    shape_pairs(model, score, args.seed, round(100 * args.scale))
    score.show(mistakes=6)
    if args.json:
        args.json.write_text(json.dumps(score.counts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
