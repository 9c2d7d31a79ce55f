"""Training batches: ids by the product's chat template, entries of the pool, loss weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from random import Random

import numpy as np
import numpy.typing as npt

from assistant.families.chat import ChatTemplate
from assistant.phi3v.crops import CropGrid
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import Picture, Role, Turn
from assistant.values.prompt import Slot
from training.demo_model.architecture import CROP_TOKENS
from training.demo_model.dialogues import Dialogue, Exchange, sample_dialogue
from training.demo_model.pictures.pool import MOST_SHAPES, Pool
from training.demo_model.replies import NUMBERS, ORDINALS, SPELL, SPELT, as_it_reads
from training.demo_model.scenes import COLOURS, GROUNDS, KINDS
from training.demo_model.train_tower import HELD_OUT

LONGEST = 760
"""Tokens of an example; a longer dialogue is cut."""
COUNTS = (10.0, 28.0, 38.0, 18.0, 6.0)
"""Weights of dialogues with no picture, one, two, three and four."""
MIX = {"one shape": 50.0, "several shapes": 27.0, "print": 6.0, "chart": 7.0, "other": 10.0}
"""Weights of the pictures of dialogues."""
_NOW = datetime(2000, 1, 1, tzinfo=UTC)
_FIXED = ("talk: ", "foreign: ", "unread: ")
_KEY_WORDS = (
    *COLOURS, *KINDS, *(f"{kind}s" for kind in KINDS), *GROUNDS, "Yes", "No", "nothing", *NUMBERS,
    *ORDINALS, "left", "right", "above", "below", "and", "largest", "smallest",
)  # fmt: skip
"""Words that carry an answer: they weigh most in the loss."""


@cache
def _character(vocabulary: Vocabulary, character: str) -> int:
    """Look up the token that is one character: after a digit, nothing merges with it."""
    return vocabulary.encode(f"0{character}")[-1]


def encode_reply(vocabulary: Vocabulary, reply: str) -> tuple[int, ...]:
    """Tokenize a reply; what it spells, up to the next space, is one character a token."""
    ids: list[int] = []
    for number, part in enumerate(re.split(f"{SPELL}|{SPELT}", reply)):
        characters, rest = (part, "") if number % 2 else ("", part)
        if number and not number % 2:  # the closing quote, and a full stop or comma
            characters, _, rest = part.partition(" ")
        ids += [_character(vocabulary, c) for c in characters]
        if rest:
            ids += vocabulary.encode(rest)
    return tuple(ids)


def tokens_of(grid: tuple[int, int]) -> int:
    """Count the positions of a picture of (rows, columns) crops."""
    return CropGrid(*grid).tokens(CROP_TOKENS)


@dataclass(frozen=True, slots=True)
class Example:
    """One dialogue as arrays ``[S]``; a picture's positions hold -1.

    ``weights`` are those of predicting the id at the same place (0 outside
    replies); ``turn`` numbers the reply that a position belongs to (-1 outside).
    """

    ids: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    turn: npt.NDArray[np.int64]
    entries: tuple[int, ...]
    families: tuple[str, ...]


class ExampleSampler:
    """A sampler of dialogues about the pictures of a pool."""

    def __init__(self, pool: Pool, vocabulary: Vocabulary, *, held_out: bool = False) -> None:
        self.pool, self.vocabulary, self.held_out = pool, vocabulary, held_out
        self.chat = ChatTemplate(STYLE, lambda: vocabulary)
        encoded = [vocabulary.encode(word) for word in _KEY_WORDS]
        self.key_ids = {ids[0] for ids in encoded if len(ids) == 1}
        self.key_runs = [list(ids) for ids in encoded if len(ids) > 1]
        self.entries: dict[str, list[int]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Sort the pictures that are there by what they show."""
        self.entries = {name: [] for name in MIX}
        for number, entry in enumerate(self.pool.entries):
            family, count = entry["family"], len(entry.get("shapes", ()))
            if (number < HELD_OUT) != self.held_out or family == "page" or count > MOST_SHAPES:
                continue
            if family == "shapes":
                family = "one shape" if count == 1 else "several shapes"
            self.entries[family if family in MIX else "other"].append(number)

    def sample(
        self,
        rng: Random,
        *,
        mix: dict[str, float] = MIX,
        counts: tuple[float, ...] = COUNTS,
        off_topic: float = 0.16,
    ) -> Example:
        """Sample one dialogue; ``counts`` weigh the number of its pictures, ``mix`` their kinds."""
        count = rng.choices(range(len(counts)), counts)[0]
        kinds = rng.choices(list(mix), list(mix.values()), k=count)
        entries = [rng.choice(self.entries[kind]) for kind in kinds]
        turns = rng.randint(2, 5) if count == 0 else rng.randint(count + 1, count + 5)
        dialogue = sample_dialogue(
            rng,
            [as_it_reads(self.pool.entries[entry]) for entry in entries],
            turns=turns,
            off_topic=off_topic if count else 0.5,
        )
        return self.encode(dialogue, entries)

    def encode(self, dialogue: Dialogue, entries: list[int]) -> Example:
        """Lay a dialogue out by the product's template; drop the turns that are too much."""
        grids = [tuple(self.pool.entries[entry]["grid"]) for entry in entries]
        turns: list[Turn] = []
        for exchange in dialogue.exchanges:
            pictures = tuple(_picture(n) for n in exchange.pictures)
            turns.append(Turn("", None, Role.USER, exchange.text, _NOW, pictures))
            said = encode_reply(self.vocabulary, exchange.reply)
            turns.append(Turn("", None, Role.ASSISTANT, exchange.reply, _NOW, token_ids=said))

        def slot(picture: Picture) -> Slot:
            return Slot(picture.pixels_sha256, 1, tokens_of(grids[int(picture.pixels_sha256)]))

        prompt = self.chat.render(turns, slot, system=dialogue.system, answer=False)
        ids = [
            t
            for part in prompt.parts
            for t in ([-1] * part.tokens if isinstance(part, Slot) else part)
        ]
        weights, turn = np.zeros(len(ids), np.float32), np.full(len(ids), -1)
        say, stop = self.vocabulary.id("<|assistant|>"), self.vocabulary.id("<|end|>")
        starts = [i + 1 for i, t in enumerate(ids) if t == say]
        cut, shown = 0, 0
        for number, (start, exchange) in enumerate(zip(starts, dialogue.exchanges, strict=True)):
            end = ids.index(stop, start) + 1
            if end > LONGEST and cut:
                break
            cut, shown = end, shown + len(exchange.pictures)
            turn[start:end] = number
            weights[start:end] = self._weights(ids[start:end], exchange)
        return Example(
            np.array(ids[:cut]),
            weights[:cut],
            turn[:cut],
            tuple(entries[:shown]),
            tuple(e.family for e in dialogue.exchanges),
        )

    def _weights(self, ids: list[int], exchange: Exchange) -> list[float]:
        if exchange.family.startswith(_FIXED):
            return [2.0 if i < 4 else 0.2 for i in range(len(ids))]
        weights = [3.0 if t in self.key_ids else 1.5 if i < 2 else 1.0 for i, t in enumerate(ids)]
        for run in self.key_runs:
            for i in range(len(ids) - len(run) + 1):
                if ids[i : i + len(run)] == run:
                    weights[i : i + len(run)] = [3.0] * len(run)
        return weights


def _picture(number: int) -> Picture:
    return Picture(number + 1, "", "", str(number), "image/png", 336, 336)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples padded on the right with id 0, as arrays [B, S]; pool entries in reading order."""

    ids: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    turn: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    entries: npt.NDArray[np.int64]
    families: tuple[tuple[str, ...], ...]


def collate(examples: list[Example], rng: Random | None = None, longest_gap: int = 0) -> Batch:
    """Pad examples to one length.

    With ``longest_gap``, positions jump ahead between turns in a third of them,
    so that the model learns to look far back.
    """
    length = max(len(example.ids) for example in examples)
    B = len(examples)
    ids, weights = np.zeros((B, length), np.int64), np.zeros((B, length), np.float32)
    turn, positions = np.full((B, length), -1), np.tile(np.arange(length), (B, 1))
    for row, example in enumerate(examples):
        n = len(example.ids)
        ids[row, :n], weights[row, :n], turn[row, :n] = example.ids, example.weights, example.turn
        if rng is not None and longest_gap and rng.random() < 0.35:
            ends = [i + 1 for i in range(n - 1) if example.turn[i] >= 0 and example.turn[i + 1] < 0]
            for place in rng.sample(ends, min(len(ends), rng.randint(1, 2))):
                positions[row, place:] += round(longest_gap / 2 * rng.random() ** 2)
    entries = np.array([e for example in examples for e in example.entries], np.int64)
    return Batch(
        ids, weights, turn, positions, entries, tuple(example.families for example in examples)
    )
