"""Counts of the positions that turns, pictures and frames take in the prompt of one model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property

from assistant.values.context import PictureLayout, Seen
from assistant.values.conversation import Picture, PictureFile, Role, Turn
from assistant.values.model import ModelFacts
from assistant.values.prompt import Slot, are_ids_of, without_end


class Counter:
    """Counter for one model; each text and each picture is computed once."""

    def __init__(self, facts: ModelFacts) -> None:
        self.model = facts.name
        self.chat = facts.chat
        self.pictures = facts.pictures
        # Keyed by what is tokenized, not by the turn: hashing a reply's ids takes longer.
        self._text_costs: dict[tuple[Role, str, tuple[int, ...]], int] = {}
        self._revision = 0
        self._checked: dict[str, tuple[tuple[int, ...], str, bool]] = {}
        """The ids and the text of each reply by its id, and whether they say the same."""

    def turn(self, seen: Seen) -> int:
        """Count the positions that a turn adds to a prompt."""
        if self._revision != self.chat.vocabulary.revision:
            self._revision = self.chat.vocabulary.revision
            self._text_costs.clear()
            self.__dict__.pop("_start", None)
            self.__dict__.pop("_empty_reply", None)
        turn = self.readable(seen.turn)
        if turn.token_ids is not None:
            return self._empty_reply + len(without_end(turn.token_ids, self.chat.vocabulary))
        marked = tuple(
            picture.number if position in seen.without else -1
            for position, picture in enumerate(turn.pictures)
        )
        key = (turn.role, turn.text, marked)
        if key not in self._text_costs:
            self._text_costs[key] = self._added(seen)
        shown = (p for at, p in enumerate(turn.pictures) if at not in seen.without)
        return self._text_costs[key] + sum(self.layout(p).tokens for p in shown)

    def message(self, text: str) -> int:
        """Count the positions of a user turn without pictures."""
        return self.turn(Seen(message(text)))

    def frame(self, system: str | None, summary: str | None = None) -> int:
        """Count the positions of everything but turns."""
        return self.chat.render((), _empty_slot, system=system, summary=summary).tokens

    def layout(self, picture: Picture | PictureFile) -> PictureLayout:
        """Lay out a picture in its own detail or the default. Raises ValueError if too thin."""
        detail = picture.num_crops or self.pictures.default
        return self.pictures.layout(picture.width, picture.height, detail)

    def slot(self, picture: Picture) -> Slot:
        layout = self.layout(picture)
        return Slot(picture.pixels_sha256, layout.detail, layout.tokens)

    def readable(self, turn: Turn) -> Turn:
        """Adapt a turn to this model, because an import may bring any combination.

        Only replies keep ids, and they have no pictures. Another model's replies are tokenized from
        their text, because its ids mean other words here. So are replies whose ids are estimates (a
        reply that came in small pieces has more ids than its text takes) or say something else
        than their text.
        """
        is_reply = turn.role is Role.ASSISTANT
        if is_reply and turn.pictures:
            turn = replace(turn, pictures=())
        if turn.token_ids is None:
            return turn
        vocabulary = self.chat.vocabulary
        is_own = turn.model == self.model and vocabulary.is_exact
        if is_reply and is_own and self._are_believed(turn, turn.token_ids):
            return turn
        return replace(turn, token_ids=None)

    def _are_believed(self, turn: Turn, ids: tuple[int, ...]) -> bool:
        known = self._checked.get(turn.id)
        if known is None or known[:2] != (ids, turn.text):
            known = ids, turn.text, are_ids_of(ids, turn.text, self.chat.vocabulary)
            self._checked[turn.id] = known
        return known[2]

    def _added(self, seen: Seen) -> int:
        """Count the positions of a turn without those of its pictures."""
        return self.chat.render((seen,), _empty_slot, answer=False).tokens - self._start

    @cached_property
    def _start(self) -> int:
        """Positions of an empty prompt."""
        return self.chat.render((), _empty_slot, answer=False).tokens

    @cached_property
    def _empty_reply(self) -> int:
        """Positions of a reply beside its ids."""
        return self._added(Seen(replace(message(""), role=Role.ASSISTANT)))


def message(text: str) -> Turn:
    """Make a user turn that is not stored."""
    return Turn("", None, Role.USER, text, datetime.now(UTC))


def _empty_slot(picture: Picture) -> Slot:
    """Make a slot of no positions, for counting those around it."""
    return Slot(picture.pixels_sha256, 1, 0)
