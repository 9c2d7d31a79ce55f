"""Counts of the context: what the model would see, and what the draft's pictures take of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from assistant.values.context import ContextReport
from assistant.values.conversation import Draft, Parent, PictureFile
from assistant.values.errors import PhichatError
from tui.chat.notes import seen_words
from tui.messages import ContextMeasured, DraftMeasured
from tui.widgets.completion import KnownPicture
from tui.widgets.context_meter import Measured

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.values.events import ModelStatus
    from tui.chat.open_chat import OpenChat
    from tui.chat.part import Host


class ContextCounter:
    """Has the context counted in a thread whenever anything that it depends on has changed."""

    def __init__(self, host: Host, engine: Engine, chat: OpenChat) -> None:
        self._host = host
        self._engine = engine
        self._chat = chat
        self.counted: object = None
        """All that the last count depended on."""
        self.is_counting = False

    def look(self, draft: Draft, edited: str | None, status: ModelStatus) -> None:
        """Begin a count, unless one is running or nothing has changed since the last one."""
        session_id, shown = self._chat.session_id, tuple(self._chat.turns)
        parent, system = self._chat.parent_of(edited), self._chat.system
        key = (
            session_id,
            system,
            self._chat.ended,
            hash(tuple(map(id, shown))),
            draft.text,
            parent,
            tuple((file.pixels_sha256, file.num_crops) for file in draft.pictures),
            (status.model, status.phase, id(status.plan)),
            self._engine.model.settings,
        )
        if self.is_counting or key == self.counted:
            return
        self.is_counting = True

        def count() -> ContextMeasured:
            try:
                context = partial(self._engine.prompts.context, session_id, system=system)
                now = report = context()
                if draft.text.strip() or draft.pictures:
                    report = context(draft, parent=parent)
            except PhichatError:  # the status line, or the list, says so already
                return ContextMeasured(key, None, {})
            more = max(0, len(report.left_out) - len(now.left_out))
            return ContextMeasured(key, Measured(report, more), seen_words(shown, now.left_out))

        self._host.in_thread(count)

    def end(self, event: ContextMeasured) -> None:
        """Note that a count is over."""
        self.is_counting, self.counted = False, event.key


def measure_draft(
    engine: Engine,
    session_id: str | None,
    files: tuple[PictureFile, ...],
    parent: str | Parent | None,
    system: str | None,
) -> DraftMeasured:
    """Count what ``files`` take in a message that follows ``parent``. Raises PhichatError."""
    report = engine.prompts.context(session_id, Draft("", files), parent=parent, system=system)
    numbers = tuple(engine.store.picture_numbers(session_id, files, parent=parent))
    # The question's own pictures come last, and are never left out.
    seen = len(report.pictures) - len(files)
    coming = [
        KnownPicture(number, file.name, is_sent=False)
        for number, file in zip(numbers, files, strict=True)
    ]
    summary, below = _summary(engine, session_id, report)
    return DraftMeasured(
        session_id,
        files,
        numbers,
        report.pictures[seen:],
        (*_known(report, seen), *coming),
        summary,
        below,
    )


def _summary(
    engine: Engine, session_id: str | None, report: ContextReport
) -> tuple[str, str | None]:
    """Return the summary that the model gets, and the id of the first turn that it sees."""
    if session_id is None or not report.summary_tokens:
        return "", None
    conversation = engine.store.conversation(session_id)
    gone = {one.turn.id for one in report.left_out if one.picture is None}
    below = next((turn.id for turn in conversation.turns if turn.id not in gone), None)
    return conversation.summary.text if conversation.summary else "", below


def _known(report: ContextReport, seen: int) -> Sequence[KnownPicture]:
    """Return the stored pictures: the first ``seen`` of the prompt, and those left out of it."""
    known = {
        cost.picture.number: KnownPicture(cost.picture.number, cost.picture.name)
        for cost in report.pictures[:seen]
    }
    for left_out in report.left_out:
        for picture in [left_out.picture] if left_out.picture else left_out.turn.pictures:
            unseen = KnownPicture(picture.number, picture.name, is_seen=False)
            known.setdefault(picture.number, unseen)
    return sorted(known.values(), key=lambda picture: picture.number)
