"""Training batches: ids by the product's chat template, entries of the pool, loss weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import numpy as np
import numpy.typing as npt

from assistant.families.chat import ChatTemplate
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import Picture, Role, Turn
from assistant.values.prompt import Slot
from training.demo_model.architecture import PICTURE_TOKENS
from training.demo_model.dialogues import Dialogue, Exchange, sample_dialogue
from training.demo_model.picture_pool import NONE, ONE, TWO, Pool
from training.demo_model.replies import PictureFacts
from training.demo_model.scenes import COLOURS, GROUNDS, KINDS

HELD_OUT = 3000
"""Entries of the pool: those below this number are for evaluation only."""
LONGEST = 720
"""Tokens of an example; a longer dialogue is cut."""
COUNTS = (4.0, 24.0, 40.0, 32.0)
"""Weights of dialogues with no picture, one, two and three."""
_NOW = datetime(2000, 1, 1, tzinfo=UTC)
_FIXED = ("refusal", "small talk", "no picture", "missing", "nothing")
_KEY_WORDS = (
    *COLOURS, *KINDS, *GROUNDS, "Yes", "No", "no", "nothing", "one", "two",
    "first", "second", "third",
)  # fmt: skip
"""Words that carry an answer: they weigh most in the loss."""


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
        self.pool, self.vocabulary = pool, vocabulary
        self.chat = ChatTemplate(STYLE, lambda: vocabulary)
        encoded = [vocabulary.encode(word) for word in _KEY_WORDS]
        self.key_ids = {ids[0] for ids in encoded if len(ids) == 1}
        self.entries = [
            [int(i) for i in pool.filled(slots) if (i < HELD_OUT) == held_out]
            for slots in (ONE, TWO, NONE)
        ]

    def seen(self, entry: int) -> PictureFacts:
        """Look up the facts of one picture."""
        row = [int(v) for v in self.pool.facts[entry]]
        pairs = [(COLOURS[c], KINDS[k]) for c, k in (row[2:4], row[4:6]) if c >= 0]
        return PictureFacts(tuple(pairs), GROUNDS[row[1]])

    def sample(
        self,
        rng: Random,
        *,
        mix: tuple[float, float, float],
        counts: tuple[float, ...] = COUNTS,
        off_topic: float = 0.14,
    ) -> Example:
        """Sample one dialogue.

        ``mix`` weighs pictures of one shape, of two and of none, ``counts`` their number.
        """
        count = rng.choices(range(len(counts)), counts)[0]
        entries = [rng.choice(self.entries[rng.choices((0, 1, 2), mix)[0]]) for _ in range(count)]
        turns = rng.randint(2, 5) if count == 0 else rng.randint(count + 1, count + 5)
        dialogue = sample_dialogue(
            rng, [self.seen(e) for e in entries], turns=turns, off_topic=off_topic if count else 0.5
        )
        return self.encode(dialogue, entries)

    def encode(self, dialogue: Dialogue, entries: list[int]) -> Example:
        """Lay a dialogue out by the product's template."""
        turns: list[Turn] = []
        for exchange in dialogue.exchanges:
            pictures = tuple(_picture(n) for n in exchange.pictures)
            turns.append(Turn("", None, Role.USER, exchange.text, _NOW, pictures))
            said = self.vocabulary.encode(exchange.reply)
            turns.append(Turn("", None, Role.ASSISTANT, exchange.reply, _NOW, token_ids=said))
        prompt = self.chat.render(turns, _slot, system=dialogue.system, answer=False)
        ids: list[int] = [
            t
            for part in prompt.parts
            for t in ([-1] * part.tokens if isinstance(part, Slot) else part)
        ]
        weights, turn = np.zeros(len(ids), np.float32), np.full(len(ids), -1)
        say, stop = self.vocabulary.id("<|assistant|>"), self.vocabulary.id("<|end|>")
        starts = [i + 1 for i, t in enumerate(ids) if t == say]
        for number, (start, exchange) in enumerate(zip(starts, dialogue.exchanges, strict=True)):
            end = ids.index(stop, start) + 1
            turn[start:end] = number
            weights[start:end] = self._weights(ids[start:end], exchange)
        cut = min(len(ids), LONGEST)
        shown = sum(1 for t in ids[:cut] if t == -1) // PICTURE_TOKENS
        while sum(1 for t in ids[:cut] if t == -1) % PICTURE_TOKENS:
            cut -= 1
        return Example(
            np.array(ids[:cut]),
            weights[:cut],
            turn[:cut],
            tuple(entries[:shown]),
            tuple(e.family for e in dialogue.exchanges),
        )

    def _weights(self, ids: list[int], exchange: Exchange) -> list[float]:
        if exchange.family in _FIXED:
            return [2.0 if i < 4 else 0.2 for i in range(len(ids))]
        return [4.0 if t in self.key_ids else 1.5 if i < 2 else 0.7 for i, t in enumerate(ids)]


def _picture(number: int) -> Picture:
    return Picture(number + 1, "", "", str(number), "image/png", 336, 336)


def _slot(picture: Picture) -> Slot:
    return Slot(picture.pixels_sha256, 1, PICTURE_TOKENS)


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


def batches(
    sampler: ExampleSampler,
    rng: Random,
    order: Random,
    size: int,
    *,
    mix: tuple[float, float, float],
    counts: tuple[float, ...] = COUNTS,
    group: int = 8,
) -> Iterator[list[Example]]:
    """Sample batches of about equal lengths, without end.

    ``order`` is shared by the processes, so that they work on equal lengths too.
    """
    while True:
        examples = [sampler.sample(rng, mix=mix, counts=counts) for _ in range(size * group)]
        examples.sort(key=lambda example: len(example.ids))
        numbers = list(range(group))
        order.shuffle(numbers)
        for number in numbers:
            yield examples[number * size : (number + 1) * size]
