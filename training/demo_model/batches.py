"""Training batches: ids by the product's chat template, the places of crops, loss weights."""

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
from training.demo_model.pictures.kinds import MOST_SHAPES
from training.demo_model.replies import NUMBERS, ORDINALS, SPELL, SPELT, Facts
from training.demo_model.scenes import COLOURS, GROUNDS, KINDS

LONGEST = 1280
"""Tokens of an example; a longer dialogue is cut."""
_ROUND = 64
"""Lengths of batches are multiples of it: a GPU has fewer shapes to get to know."""
COUNTS = (8.0, 34.0, 30.0, 16.0, 12.0)
"""Weights of dialogues with no picture, one, two, three and four."""
MIX = {"one shape": 22.0, "several shapes": 34.0, "print": 18.0, "chart": 17.0, "other": 9.0}
"""Weights of the pictures of dialogues."""
_NOW = datetime(2000, 1, 1, tzinfo=UTC)
_FIXED = ("talk: ", "foreign: ", "unreadable: ")
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
    pictures: tuple[Facts, ...]
    families: tuple[str, ...]


class ExampleSampler:
    """A sampler of dialogues about pictures that were drawn.

    A picture is its facts, with the ``grid`` of its crops (rows, columns) and the number ``at`` of
    the first of them.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.chat = ChatTemplate(STYLE, lambda: vocabulary)
        encoded = [vocabulary.encode(word) for word in _KEY_WORDS]
        self.key_ids = {ids[0] for ids in encoded if len(ids) == 1}
        self.key_runs = [list(ids) for ids in encoded if len(ids) > 1]
        self.pictures: dict[str, list[Facts]] = {name: [] for name in MIX}

    def add(self, picture: Facts) -> None:
        """Sort in a picture by what it shows; dense pages are not spoken of."""
        family, count = picture["family"], len(picture.get("shapes", ()))
        if family == "page" or count > MOST_SHAPES:
            return
        if family == "shapes":
            family = "one shape" if count == 1 else "several shapes"
        self.pictures[family if family in MIX else "other"].append(picture)

    @property
    def ready(self) -> bool:
        """Whether there is a picture of every kind."""
        return all(self.pictures.values())

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
        pictures = [rng.choice(self.pictures[kind]) for kind in kinds]
        turns = rng.randint(2, 5) if count == 0 else rng.randint(count + 1, count + 5)
        dialogue = sample_dialogue(
            rng,
            pictures,
            turns=turns,
            off_topic=off_topic if count else 0.5,
        )
        return self.encode(dialogue, pictures)

    def encode(self, dialogue: Dialogue, pictures: list[Facts]) -> Example:
        """Lay a dialogue out by the product's template; drop the turns that are too much."""
        turns: list[Turn] = []
        for exchange in dialogue.exchanges:
            shown = tuple(_picture(n) for n in exchange.pictures)
            turns.append(Turn("", None, Role.USER, exchange.text, _NOW, shown))
            said = encode_reply(self.vocabulary, exchange.reply)
            turns.append(Turn("", None, Role.ASSISTANT, exchange.reply, _NOW, token_ids=said))

        def slot(picture: Picture) -> Slot:
            number = int(picture.pixels_sha256)
            return Slot(picture.pixels_sha256, 1, tokens_of(pictures[number]["grid"]))

        prompt = self.chat.render(turns, slot, system=dialogue.system, answer=False)
        ids = [
            t
            for part in prompt.parts
            for t in ([-1] * part.tokens if isinstance(part, Slot) else part)
        ]
        weights, turn = np.zeros(len(ids), np.float32), np.full(len(ids), -1)
        say, stop = self.vocabulary.id("<|assistant|>"), self.vocabulary.id("<|end|>")
        starts = [i + 1 for i, t in enumerate(ids) if t == say]
        cut, count = 0, 0
        for number, (start, exchange) in enumerate(zip(starts, dialogue.exchanges, strict=True)):
            end = ids.index(stop, start) + 1
            if end > LONGEST and cut:
                break
            cut, count = end, count + len(exchange.pictures)
            turn[start:end] = number
            weights[start:end] = self._weights(ids[start:end], exchange)
        return Example(
            np.array(ids[:cut]),
            weights[:cut],
            turn[:cut],
            tuple(pictures[:count]),
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
class Pictures:
    """Pictures of a batch that have the same grid.

    ``crops`` [n, k] are the numbers of their crops, the overview first, and ``places`` [n, tokens]
    those of their positions among all of the batch.
    """

    grid: tuple[int, int]
    crops: npt.NDArray[np.int32]
    places: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples padded on the right with id 0, as arrays [B, S].

    ``wanted`` [N] are the ids to predict, ``places`` [N] the positions that predict them among all
    of the batch, ``weights`` [N] their weights in the loss, ``replies`` [N] the numbers of the
    replies that they belong to, among ``families``.
    """

    ids: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]
    pictures: tuple[Pictures, ...]
    wanted: npt.NDArray[np.int64]
    places: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    replies: npt.NDArray[np.int32]
    families: tuple[str, ...]


def collate(examples: list[Example], rng: Random | None = None, longest_gap: int = 0) -> Batch:
    """Pad examples to one length.

    With ``longest_gap``, positions jump ahead between turns in a third of them,
    so that the model learns to look far back.
    """
    S, B = max(len(example.ids) for example in examples), len(examples)
    S = -(-S // _ROUND) * _ROUND
    ids, weights = np.zeros((B, S), np.int32), np.zeros((B, S), np.float32)
    turn, positions = np.full((B, S), -1), np.tile(np.arange(S, dtype=np.int32), (B, 1))
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    families: list[str] = []
    for row, example in enumerate(examples):
        n = len(example.ids)
        ids[row, :n], weights[row, :n] = example.ids, example.weights
        turn[row, :n] = np.where(example.turn < 0, -1, example.turn + len(families))
        families += example.families
        # 1) jumps between turns
        if rng is not None and longest_gap and rng.random() < 0.35:
            ends = [i + 1 for i in range(n - 1) if example.turn[i] >= 0 and example.turn[i + 1] < 0]
            for place in rng.sample(ends, min(len(ends), rng.randint(1, 2))):
                positions[row, place:] += round(longest_gap / 2 * rng.random() ** 2)
        # 2) the pictures, whose positions stand in a row, one picture after the other
        slots = np.flatnonzero(example.ids < 0)
        for picture in example.pictures:
            count = tokens_of(picture["grid"])
            assert slots[count - 1] == slots[0] + count - 1
            groups.setdefault(tuple(picture["grid"]), []).append(
                (picture["at"], row * S + int(slots[0]))
            )
            slots = slots[count:]
    # 3) what is to be predicted: the id after each place
    rows, columns = np.nonzero(weights[:, 1:])
    return Batch(
        ids,
        positions,
        tuple(_group(grid, pairs) for grid, pairs in sorted(groups.items())),
        ids[rows, columns + 1].astype(np.int64),
        (rows * S + columns).astype(np.int32),
        weights[rows, columns + 1],
        turn[rows, columns + 1].astype(np.int32),
        tuple(families),
    )


def _group(grid: tuple[int, int], pairs: list[tuple[int, int]]) -> Pictures:
    at, start = np.array(pairs, np.int32).T
    return Pictures(
        grid,
        at[:, None] + np.arange(crops_of(grid), dtype=np.int32),
        start[:, None] + np.arange(tokens_of(grid), dtype=np.int32),
    )


def crops_of(grid: tuple[int, int]) -> int:
    """Count the crops that are kept of a picture: at one crop it is the overview, too."""
    rows, columns = grid
    return 1 if rows * columns == 1 else rows * columns + 1
