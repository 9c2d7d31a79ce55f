"""What a turn takes in the prompt of one model, in exact positions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path

from assistant.phi3v.crops import CropGrid, crop_grid
from assistant.phi3v.template import render, without_end
from assistant.phi3v.vocabulary import Vocabulary as ModelVocabulary
from assistant.servers.vocabulary import TextVocabulary
from assistant.values.context import Seen
from assistant.values.conversation import Picture, PictureFile, Role, Turn
from assistant.values.model import ModelFacts
from assistant.values.prompt import Slot, Vocabulary
from assistant.window import details as crops


class Counter:
    """Counts for one model; a text or a picture is looked at once."""

    def __init__(self, facts: ModelFacts) -> None:
        self.facts = facts
        # Keyed by what is tokenized, not by the turn: hashing a reply's ids anew costs more.
        self._text_costs: dict[tuple[Role, str, tuple[int, ...]], int] = {}
        self._grid = lru_cache(maxsize=4096)(crop_grid)
        self._seeable = lru_cache(maxsize=4096)(crops.seeable)
        self._covering = lru_cache(maxsize=4096)(crops.covering)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Read when text is counted first: attaching a picture does not wait for it."""
        if self.facts.is_server:
            return TextVocabulary()
        return ModelVocabulary.from_folder(Path(self.facts.folder))

    def turn(self, seen: Seen) -> int:
        """Positions that a turn adds: they are additive, but for the BOS that render() sets."""
        turn = self.readable(seen.turn)
        if turn.token_ids is not None:
            return self._closed + len(without_end(turn.token_ids, self.vocabulary))
        places = tuple(
            picture.number if position in seen.without else -1
            for position, picture in enumerate(turn.pictures)
        )
        key = (turn.role, turn.text, places)
        if key not in self._text_costs:
            prompt = render((seen,), self.vocabulary, _no_room, answer=False)
            self._text_costs[key] = prompt.tokens - 1
        shown = (p for at, p in enumerate(turn.pictures) if at not in seen.without)
        return self._text_costs[key] + sum(map(self.picture, shown))

    def message(self, text: str) -> int:
        """Positions of a user turn without pictures."""
        return self.turn(Seen(message(text)))

    def frame(self, system: str | None, summary: str | None = None) -> int:
        """Positions of what is no turn."""
        return render((), self.vocabulary, _no_room, system=system, summary=summary).tokens

    def picture(self, picture: Picture | PictureFile) -> int:
        """Positions of a picture. Raises ValueError for one too thin to be seen."""
        return self.grid(picture).tokens(self.facts.num_img_tokens)

    def grid(self, picture: Picture | PictureFile) -> CropGrid:
        """How a picture is cut. Raises ValueError for one too thin to be seen."""
        return self._grid(picture.width, picture.height, self.num_crops(picture))

    def num_crops(self, picture: Picture | PictureFile) -> int:
        """Its own number of crops or the default, or more if it is too thin for so few."""
        limit = picture.num_crops or self.facts.num_crops
        limit = self._seeable(picture.width, picture.height, limit)
        if self.facts.is_server:
            return self._covering(picture.width, picture.height, limit)
        return limit

    def slot(self, picture: Picture) -> Slot:
        """A picture's place in the prompt."""
        return Slot(picture.pixels_sha256, self.num_crops(picture), self.picture(picture))

    def readable(self, turn: Turn) -> Turn:
        """The turn as this model can be given it, whatever an import brought.

        Only replies have ids, and they show no pictures. Another model's ids mean other words
        here: its replies are tokenized from their text. A server's are too: a reply that came in
        small pieces has more ids than its text takes.
        """
        is_reply = turn.role is Role.ASSISTANT
        if is_reply and turn.pictures:
            turn = replace(turn, pictures=())
        if turn.token_ids is None:
            return turn
        is_own = turn.model == self.facts.name and not self.facts.is_server
        if is_reply and is_own and self.vocabulary.knows(turn.token_ids):
            return turn
        return replace(turn, token_ids=None)

    @cached_property
    def _closed(self) -> int:
        """Positions around the ids of a reply."""
        empty = replace(message(""), role=Role.ASSISTANT)
        return render((empty,), self.vocabulary, _no_room, answer=False).tokens - 1


def message(text: str) -> Turn:
    """A user turn that is not stored."""
    return Turn("", None, Role.USER, text, datetime.now(UTC))


def _no_room(picture: Picture) -> Slot:
    """A slot for counting what is around it."""
    return Slot(picture.pixels_sha256, 1, 0)
