"""Prompt layout: window, crops and chat template of a conversation, in exact positions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from assistant.values.context import ChosenBy, ContextReport, PictureCost, Seen
from assistant.values.conversation import Draft, Role, Summary, Turn
from assistant.values.errors import PhichatError
from assistant.values.model import ModelFacts
from assistant.values.prompt import ChatFormat, Prompt, Vocabulary, are_ids_of, common_start
from assistant.values.words import counted
from assistant.window import fit as fitting
from assistant.window.count import Counter, message
from assistant.window.plan import Plan, plan as plan_window

SUMMARY_TOKENS = 256
"""Tokens. The longest summary that the model may write, and the space reserved for one: a fixed
number, so that a summary that grows moves nothing else."""

RECOUNTED = 8
"""Times that a chat is counted at most."""

SUMMARY_SHARE = 0.25
"""Largest share of the window for a summary; a longer one is not shown to the model."""


@dataclass(frozen=True, slots=True)
class Request:
    """A branch to lay out, oldest turn first, with its system prompt and summary.

    ``summaries`` reserves space for a summary before there is one. ``begun`` are the ids of a
    reply to be continued.
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

    ``question`` is the turn to be answered as it will be shown; ``lowered`` are positions of its
    pictures that got fewer crops than the default.
    """

    request: Request
    plan: Plan
    frame: int
    summary: str | None
    summary_tokens: int
    max_new_tokens: int
    limit: int
    question: Turn | None
    lowered: frozenset[int]

    @property
    def budget(self) -> int:
        return self.limit - self.max_new_tokens


@dataclass(frozen=True, slots=True)
class PromptPreview:
    """The prompt, the turns that it shows, and the report on its context use."""

    prompt: Prompt
    seen: tuple[Seen, ...]
    context: ContextReport


class Layout:
    """Planner and renderer for one model.

    ``context`` and ``most_pictures`` are called for each plan, because the core may find out later
    how much the model takes.
    """

    def __init__(
        self,
        facts: ModelFacts,
        context: Callable[[], int],
        most_pictures: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.counter = Counter(facts)
        self._context = context
        self._most_pictures = most_pictures

    @property
    def model(self) -> str:
        return self.counter.model

    @property
    def chat(self) -> ChatFormat:
        return self.counter.chat

    def can_continue(self, reply: Turn) -> bool:
        """Check that the model can follow an unfinished reply from its exact ids."""
        ids, is_own = reply.token_ids, reply.model == self.model
        return is_own and ids is not None and are_ids_of(ids, reply.text, self.chat.vocabulary)

    def plan(self, request: Request, *, fresh: bool) -> Planned:
        """Choose crops and plan the window; :meth:`check` tests that it fits.

        ``fresh`` says that the newest question was never shown to the model: its pictures may get
        fewer crops, to leave space. Once shown they keep theirs as long as they fit, because the
        cached prefix and their features would be lost otherwise.
        """
        count = self.counter
        limit = self._context()
        max_new = min(request.max_new_tokens, limit // 2)
        turns = tuple(map(count.readable, request.turns))
        frame = count.frame(request.system)
        room = limit - max_new - frame
        # 1. reserve space for the summary
        summary = _summary_of(turns, request.summary)
        summary_tokens = count.frame(request.system, summary) - frame
        if summary_tokens > room * SUMMARY_SHARE:
            summary, summary_tokens = None, 0
        reserve = min(SUMMARY_TOKENS, room // 8) if summary or request.summaries else 0
        reserve = max(reserve, summary_tokens)
        # 2. choose the crops of the question's pictures
        question = turns[-1] if turns and turns[-1].role is Role.USER else None
        lowered: frozenset[int] = frozenset()
        if question is not None and question.pictures:
            asked = question.pictures
            question = fitting.fit_question(
                question,
                count,
                budget=limit - max_new,
                room=room - self._pinned(turns[:-1], room) - reserve,
                fresh=fresh,
            )
            changed = enumerate(zip(asked, question.pictures, strict=True))
            lowered = frozenset(at for at, (before, after) in changed if before != after)
            turns = (*turns[:-1], question)
        # 3. plan the window, for a begun reply with less room if the rest of it needs that
        most = self._most_pictures()
        fitted = partial(plan_window, turns, cost=count.turn, summary=reserve, most_pictures=most)
        made = fitted(room)
        if request.begun and limit - frame - made.tokens - len(request.begun) < max_new:
            made = fitted(room - len(request.begun))
        shown = summary if made.evicted else None
        return Planned(
            request=request,
            plan=made,
            frame=frame,
            summary=shown,
            summary_tokens=summary_tokens if shown else 0,
            max_new_tokens=max_new,
            limit=limit,
            question=question,
            lowered=lowered,
        )

    def plan_to_send(
        self, request: Request, count: Callable[[Prompt], bool], *, fresh: bool
    ) -> Planned:
        """Plan as :meth:`plan` does, by counts of the model where there are such.

        ``count`` is that of the core. Where texts turn out shorter, others that were only estimated
        may come in.
        """
        planned, vocabulary = self.plan(request, fresh=fresh), self.chat.vocabulary
        for _ in range(RECOUNTED):
            if vocabulary.counts_exactly or not count(self.preview(planned).prompt):
                break
            planned = self.plan(request, fresh=fresh)
        return planned

    def check(self, planned: Planned) -> None:
        """Raise PhichatError (code ``too_long``) if the plan does not fit; it names a change."""
        plan, question = planned.plan, planned.question
        most = self._most_pictures()
        if most is not None and question is not None and len(question.pictures) > most:
            takes = f"takes {most} at a time" if most else "takes none"
            raise PhichatError(
                f"This message has {counted(len(question.pictures), 'picture')} and the model "
                f"{takes}: attach fewer, or choose another model.",
                code="too_long",
            )
        if plan.fits:
            return
        more = counted(plan.tokens - plan.budget, "token")
        excess = f"{more} more than the model can hold"
        if question is None:
            raise PhichatError(
                f"What you pinned takes {excess}: let go of some of it.", code="too_long"
            )
        others = plan.tokens - self.counter.turn(Seen(question))
        advice = fitting.advice(question, self.counter, plan.budget - others)
        if advice is None and others <= 0:
            raise PhichatError(
                f"This message takes {excess}: allow more (the setting context).", code="too_long"
            )
        if advice is None:
            raise PhichatError(
                f"This message with what you pinned takes {excess}: let go of some of it.",
                code="too_long",
            )
        pictures = len(question.pictures)
        takes = f" and its {counted(pictures, 'picture')} take" if pictures else " takes"
        raise PhichatError(f"This message{takes} {excess}: {advice}.", code="too_long")

    def preview(self, planned: Planned) -> PromptPreview:
        """Render the prompt."""
        prompt = self.chat.render(
            planned.plan.seen,
            self.counter.slot,
            system=planned.request.system,
            summary=planned.summary,
            begun=planned.request.begun,
        )
        return PromptPreview(prompt, planned.plan.seen, self.report(planned))

    def known_start(self, planned: Planned) -> tuple[Prompt, int]:
        """Return the beginning of the prompt that the question's words don't change.

        And the positions of the rest with the words that it has now.
        """
        prompt, question = self.preview(planned).prompt, planned.question
        if question is None:
            return prompt, 0
        *before, last = planned.plan.seen
        other = "b" if question.text.startswith("a") else "a"
        reworded = replace(last, turn=replace(question, text=other))
        plan = replace(planned.plan, seen=(*before, reworded))
        known = common_start(prompt, self.preview(replace(planned, plan=plan)).prompt)
        return known, prompt.tokens - known.tokens

    def report(self, planned: Planned) -> ContextReport:
        """Report the context use of the prompt."""
        count, plan = self.counter, planned.plan
        turns = sum(map(count.turn, plan.seen))
        return ContextReport(
            limit=planned.limit,
            max_new_tokens=planned.max_new_tokens,
            used=planned.frame + planned.summary_tokens + turns + len(planned.request.begun),
            system_tokens=planned.frame - count.frame(None),
            summary_tokens=planned.summary_tokens,
            until_eviction=max(0, plan.budget - plan.tokens),
            pictures=tuple(self._picture_costs(planned)),
            left_out=plan.left_out,
            is_estimate=not _counts_exactly(self.chat.vocabulary, planned.request),
            picture_share=int((planned.limit - planned.max_new_tokens) * fitting.COMFORT),
        )

    def _picture_costs(self, planned: Planned) -> Iterator[PictureCost]:
        slots = itertools.count(1)
        for seen in planned.plan.seen:
            for position, picture in enumerate(seen.turn.pictures):
                if position in seen.without:
                    continue
                chosen_by = ChosenBy.STORED if picture.num_crops else ChosenBy.DEFAULT
                in_full = 0
                if seen.turn is planned.question and position in planned.lowered:
                    chosen_by = ChosenBy.ROOM
                    in_full = self.counter.layout(replace(picture, num_crops=None)).tokens
                yield PictureCost(
                    picture=picture,
                    slot=next(slots),
                    layout=self.counter.layout(picture),
                    chosen_by=chosen_by,
                    in_full=in_full,
                )

    def alone(self, text: str) -> Prompt:
        """Render a prompt of one message, to be answered."""
        return self.chat.render((message(text),), self.counter.slot)

    def room_alone(self, max_new_tokens: int) -> int:
        """Count the positions that :meth:`alone` may take."""
        return self._context() - max_new_tokens

    def check_summary(self, text: str, planned: Planned) -> None:
        """Raise PhichatError (``too_long``) for a summary that would not be shown to the model."""
        most = int(planned.plan.budget * SUMMARY_SHARE)
        tokens = self.counter.frame(None, text) - self.counter.frame(None)
        if tokens > most:
            raise PhichatError(
                f"This summary takes {counted(tokens, 'token')} and may take {most}: shorten it.",
                code="too_long",
            )

    def _pinned(self, turns: Sequence[Turn], room: int) -> int:
        """Count the positions of pinned exchanges, which stay beside a new question."""
        if not any(turn.pinned or any(p.pinned for p in turn.pictures) for turn in turns):
            return 0
        return plan_window(turns, room, self.counter.turn).pinned


def _counts_exactly(vocabulary: Vocabulary, request: Request) -> bool:
    """Check that all was counted; the ids of a half reply are the model's own or an estimate."""
    return vocabulary.counts_exactly and (vocabulary.is_exact or not request.begun)


def _summary_of(turns: Sequence[Turn], summary: Summary | None) -> str | None:
    """Return the summary's text if it covers turns of this branch."""
    if summary is not None and any(turn.id == summary.upto for turn in turns):
        return summary.text or None
    return None


def as_turn(draft: Draft, earlier: Sequence[Turn]) -> Turn:
    """Make the turn that a draft would become after ``earlier`` ones, for counting only."""
    number = max((p.number for turn in earlier for p in turn.pictures), default=0)
    pictures = tuple(file.numbered(number + place) for place, file in enumerate(draft.pictures, 1))
    return replace(message(draft.text), pictures=pictures)
