"""From a conversation to the prompt: window, crops and template together, in exact positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path

from assistant import crops, window
from assistant.context import ChosenBy, ContextReport, PictureCost, Seen
from assistant.conversation import Draft, Picture, PictureFile, Role, Summary, Turn
from assistant.core import ModelFacts
from assistant.errors import PhichatError
from assistant.phi3v.geometry import crop_grid
from assistant.phi3v.vocabulary import Vocabulary
from assistant.prompt import Prompt, Slot
from assistant.template import render, without_end

SUMMARY_TOKENS = 256
"""The longest summary that the model may write, and what is set aside for one in the window: a
fixed number, so that a summary that grows moves nothing else."""

SUMMARY_SHARE = 0.25
"""The most of the window that a summary may take; a longer one is not shown to the model."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be laid out: a branch, oldest turn first, and what goes with it.

    ``summaries`` sets room aside for a summary before there is one. ``begun``
    are the ids of a reply that is to go on.
    """

    turns: tuple[Turn, ...]
    system: str | None
    max_new_tokens: int
    summary: Summary | None = None
    summaries: bool = False
    begun: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A request with its crops chosen and its window planned; nothing is rendered yet.

    ``question`` is the turn to be answered as it will be shown; ``lowered``
    are positions of its pictures that got fewer crops than the default.
    """

    request: Request
    plan: window.Plan
    frame: int
    summary: str | None
    summary_tokens: int
    max_new_tokens: int
    limit: int
    question: Turn | None
    lowered: frozenset[int]

    @property
    def budget(self) -> int:
        """Positions that the whole prompt may take."""
        return self.limit - self.max_new_tokens


@dataclass(frozen=True, slots=True)
class PromptPreview:
    """What the model is given, turn by turn and as a prompt, and what a person is told of it."""

    prompt: Prompt
    seen: tuple[Seen, ...]
    context: ContextReport


class Layout:
    """Counts and renders for one model.

    ``context`` is asked anew each time: the core may find out later how much it holds.
    """

    def __init__(self, facts: ModelFacts, context: Callable[[], int]) -> None:
        self._facts = facts
        self._context = context
        self.vocabulary = Vocabulary.from_folder(Path(facts.folder))
        # Texts of turns never change: each is tokenized for its cost once, not on every send.
        self._text_costs: dict[tuple[Role, str, tuple[int, ...]], int] = {}
        self._picture_cost = lru_cache(maxsize=4096)(self._count_picture)

    @property
    def model(self) -> str:
        """The name of the model that this is for."""
        return self._facts.name

    def picture_tokens(self, picture: Picture | PictureFile) -> int:
        """Positions of a picture. Raises ValueError for one too thin to be seen."""
        return self._picture_cost(picture.width, picture.height, self._num_crops(picture))

    def plan(self, request: Request, *, fresh: bool = True) -> Planned:
        """Choose crops and plan the window; whether it fits is for :meth:`check`.

        ``fresh`` says that the newest question was never shown to the model: its
        pictures may get fewer crops so that room is left. Once shown they keep
        theirs as long as they fit, or the cached prefix and the features that
        were computed for them would be lost.
        """
        limit = self._context()
        max_new = min(request.max_new_tokens, limit // 2)
        turns = tuple(map(self._readable, request.turns))
        frame = self._frame(request.system)
        room = limit - max_new - frame
        told = self._summary_of(turns, request.summary)
        told_tokens = self._frame(request.system, told) - frame
        if told_tokens > room * SUMMARY_SHARE:
            told, told_tokens = None, 0
        reserve = min(SUMMARY_TOKENS, room // 8) if told or request.summaries else 0
        reserve = max(reserve, told_tokens)
        question = turns[-1] if turns and turns[-1].role is Role.USER else None
        lowered: frozenset[int] = frozenset()
        if question is not None and question.pictures:
            free = room - self._pinned(turns[:-1], room) - reserve
            fitted = self._fitted(question, limit - max_new, free, fresh=fresh)
            lowered = frozenset(
                position
                for position, (old, new) in enumerate(
                    zip(question.pictures, fitted.pictures, strict=True)
                )
                if old != new
            )
            question = fitted
            turns = (*turns[:-1], question)
        made = window.plan(turns, room, self.cost, summary=reserve)
        if request.begun and limit - frame - made.tokens - len(request.begun) < max_new:
            made = window.plan(turns, room - len(request.begun), self.cost, summary=reserve)
        shown = told if made.evicted else None
        return Planned(
            request=request,
            plan=made,
            frame=frame,
            summary=shown,
            summary_tokens=told_tokens if shown else 0,
            max_new_tokens=max_new,
            limit=limit,
            question=question,
            lowered=lowered,
        )

    def preview(self, planned: Planned) -> PromptPreview:
        """The prompt itself."""
        prompt = render(
            planned.plan.seen,
            self.vocabulary,
            self._slot,
            system=planned.request.system,
            summary=planned.summary,
            begun=planned.request.begun,
        )
        return PromptPreview(prompt, planned.plan.seen, self.report(planned))

    def alone(self, text: str) -> Prompt:
        """One message and nothing else, to be answered."""
        return render((_message(text),), self.vocabulary, self._slot)

    def room_alone(self, max_new_tokens: int) -> int:
        """Positions that :meth:`alone` may take."""
        return self._context() - max_new_tokens

    def message_tokens(self, text: str) -> int:
        """Positions of a message without pictures."""
        return self.cost(Seen(_message(text)))

    def check_summary(self, text: str, planned: Planned) -> None:
        """Raise PhichatError for a summary too long to be shown to the model."""
        most = int(planned.plan.budget * SUMMARY_SHARE)
        tokens = self._frame(None, text) - self._frame(None)
        if tokens > most:
            raise PhichatError(
                f"This summary takes {tokens} tokens and may take {most}: shorten it.",
                code="too_long",
            )

    def report(self, planned: Planned) -> ContextReport:
        """What a person is told about the prompt."""
        pictures: list[PictureCost] = []
        for seen in planned.plan.seen:
            for position, picture in enumerate(seen.turn.pictures):
                if position in seen.without:
                    continue
                num_crops = self._num_crops(picture)
                grid = crop_grid(picture.width, picture.height, num_crops)
                chosen_by = ChosenBy.STORED if picture.num_crops else ChosenBy.DEFAULT
                if seen.turn is planned.question and position in planned.lowered:
                    chosen_by = ChosenBy.ROOM
                pictures.append(
                    PictureCost(
                        picture=picture,
                        slot=len(pictures) + 1,
                        num_crops=num_crops,
                        crops=(grid.rows, grid.columns),
                        tokens=grid.tokens(self._facts.num_img_tokens),
                        chosen_by=chosen_by,
                    )
                )
        cost = sum(map(self.cost, planned.plan.seen))
        return ContextReport(
            limit=planned.limit,
            max_new_tokens=planned.max_new_tokens,
            used=planned.frame + planned.summary_tokens + cost + len(planned.request.begun),
            system_tokens=planned.frame - self._frame(None),
            summary_tokens=planned.summary_tokens,
            until_eviction=max(0, planned.plan.budget - planned.plan.tokens),
            pictures=tuple(pictures),
            left_out=planned.plan.left_out,
        )

    def check(self, planned: Planned) -> None:
        """Raise PhichatError (code ``too_long``) for what can't fit; it says what would."""
        plan = planned.plan
        if plan.fits:
            return
        excess = f"{plan.tokens - plan.budget} tokens more than the model can hold"
        question = planned.question
        if question is None:
            raise PhichatError(
                f"What you pinned takes {excess}: let go of some of it.", code="too_long"
            )
        others = plan.tokens - self.cost(Seen(question))
        advice = self._advice(question, plan.budget - others)
        if advice is None:
            raise PhichatError(
                f"This message and what you pinned take {excess}: let go of some of it.",
                code="too_long",
            )
        count = len(question.pictures)
        pictures = f" and its {_count(count, 'picture')}" if count else ""
        takes = "take" if count else "takes"
        raise PhichatError(f"This message{pictures} {takes} {excess}: {advice}.", code="too_long")

    def cost(self, seen: Seen) -> int:
        """Positions that a turn adds: costs are additive, but for the BOS that render() sets."""
        turn = seen.turn
        if turn.role is Role.ASSISTANT and self._readable(turn).token_ids is not None:
            ids = turn.token_ids or ()
            return self._closed + (len(without_end(ids, self.vocabulary)) if ids else 0)
        places = tuple(
            picture.number if position in seen.without else -1
            for position, picture in enumerate(turn.pictures)
        )
        key = (turn.role, turn.text, places)
        if key not in self._text_costs:
            alone = replace(seen, turn=replace(turn, token_ids=None))
            self._text_costs[key] = render((alone,), self.vocabulary, _no_room, answer=False).tokens
        shown = (p for at, p in enumerate(turn.pictures) if at not in seen.without)
        return self._text_costs[key] - 1 + sum(map(self.picture_tokens, shown))

    @cached_property
    def _closed(self) -> int:
        """Positions around the ids of a reply."""
        empty = replace(_message(""), role=Role.ASSISTANT)
        return render((empty,), self.vocabulary, _no_room, answer=False).tokens - 1

    def _frame(self, system: str | None, summary: str | None = None) -> int:
        """Positions of what is no turn."""
        return render((), self.vocabulary, _no_room, system=system, summary=summary).tokens

    def _summary_of(self, turns: Sequence[Turn], summary: Summary | None) -> str | None:
        """The summary, if it tells of this branch."""
        if summary is not None and any(turn.id == summary.upto for turn in turns):
            return summary.text or None
        return None

    def _pinned(self, turns: Sequence[Turn], room: int) -> int:
        """Positions of what must stay beside a new question."""
        if not any(turn.pinned or any(p.pinned for p in turn.pictures) for turn in turns):
            return 0
        return window.plan(turns, room, self.cost).pinned

    def _fitted(self, question: Turn, budget: int, free: int, *, fresh: bool) -> Turn:
        """The question with as many crops a picture as there is room for."""
        shown = sum(map(self.picture_tokens, question.pictures))
        room = free - (self.cost(Seen(question)) - shown)
        if not fresh and shown <= room:
            return question

        def choose(pictures: Sequence[Picture]) -> tuple[int, ...] | None:
            return crops.choose(
                pictures,
                default=self._facts.num_crops,
                num_img_tokens=self._facts.num_img_tokens,
                budget=budget,
                room=room,
            )

        chosen = choose(question.pictures)
        if chosen is None and not fresh:
            chosen = choose([replace(picture, num_crops=None) for picture in question.pictures])
        if chosen is None:
            return question
        fitted = (
            picture if self._num_crops(picture) == limit else replace(picture, num_crops=limit)
            for picture, limit in zip(question.pictures, chosen, strict=True)
        )
        return replace(question, pictures=tuple(fitted))

    def _advice(self, question: Turn, room: int) -> str | None:
        """What would fit into ``room``; None when it is not the question that is too long."""

        def cost(pictures: Sequence[Picture], num_crops: int) -> int:
            least = [
                replace(picture, num_crops=min(self._num_crops(picture), num_crops))
                for picture in pictures
            ]
            return self.cost(Seen(replace(question, pictures=tuple(least))))

        text = cost((), 1)
        pictures = question.pictures
        if pictures and cost(pictures, 1) <= room:
            most = next(number for number in crops.CROPS if cost(pictures, number) <= room)
            return f"with at most {_count(most, 'crop')} a picture it would fit"
        if pictures and text <= room:
            fitting = sum(cost(pictures[: n + 1], 1) <= room for n in range(len(pictures)))
            if fitting:
                return f"{fitting} of the {len(pictures)} would fit, at one crop each"
            return "it would fit without the pictures"
        empty = self.cost(Seen(replace(question, text="", pictures=())))
        if room <= empty:
            return None
        characters = math.ceil((text - room) * len(question.text) / (text - empty))
        return f"shorten the text by about {_count(characters, 'character')}"

    def _count_picture(self, width: int, height: int, num_crops: int) -> int:
        return crop_grid(width, height, num_crops).tokens(self._facts.num_img_tokens)

    def _num_crops(self, picture: Picture | PictureFile) -> int:
        return picture.num_crops or self._facts.num_crops

    def _slot(self, picture: Picture) -> Slot:
        tokens = self.picture_tokens(picture)
        return Slot(picture.pixels_sha256, self._num_crops(picture), tokens)

    def _readable(self, turn: Turn) -> Turn:
        """Another model's ids mean other words here: its replies are tokenized from their text."""
        if turn.token_ids is None or turn.model == self.model:
            return turn
        return replace(turn, token_ids=None)


def as_turn(draft: Draft, earlier: Sequence[Turn]) -> Turn:
    """A draft as the turn that it would become after ``earlier`` ones, for counting only."""
    number = max((p.number for turn in earlier for p in turn.pictures), default=0)
    pictures = tuple(
        Picture(
            number=number + place,
            name=file.name,
            sha256=file.sha256,
            pixels_sha256=file.pixels_sha256,
            media_type=file.media_type,
            width=file.width,
            height=file.height,
            num_crops=file.num_crops,
        )
        for place, file in enumerate(draft.pictures, 1)
    )
    return replace(_message(draft.text), pictures=pictures)


def _message(text: str) -> Turn:
    return Turn("", None, Role.USER, text, datetime.now(UTC))


def _no_room(picture: Picture) -> Slot:
    """A slot for counting what is around it."""
    return Slot(picture.pixels_sha256, 1, 0)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
