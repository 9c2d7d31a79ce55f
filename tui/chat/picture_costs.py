"""What a draft's pictures cost, and which pictures its words can refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant.values.context import ContextReport
from assistant.values.conversation import Draft, Parent, PictureFile
from tui.messages import DraftMeasured
from tui.widgets.completion import KnownPicture

if TYPE_CHECKING:
    from assistant.engine import Engine


def measured(
    engine: Engine,
    session_id: str | None,
    files: tuple[PictureFile, ...],
    parent: str | Parent | None = Parent.HEAD,
) -> DraftMeasured:
    """Count (in a thread) for a message that follows ``parent``. Raises PhichatError."""
    report = engine.prompts.context(session_id, Draft("", files), parent=parent)
    numbers = tuple(engine.store.picture_numbers(session_id, files, parent=parent))
    # The question's own pictures come last, and are never left out.
    costs = report.pictures[len(report.pictures) - len(files) :]
    before = _known(report, len(report.pictures) - len(files))
    coming = [
        KnownPicture(number, file.name, is_sent=False)
        for number, file in zip(numbers, files, strict=True)
    ]
    summary, below = _summary(engine, session_id, report)
    return DraftMeasured(session_id, files, numbers, costs, (*before, *coming), summary, below)


def _summary(
    engine: Engine, session_id: str | None, report: ContextReport
) -> tuple[str, str | None]:
    """What the model is told of what it doesn't see, and the first turn that it does see."""
    if session_id is None or not report.summary_tokens:
        return "", None
    conversation = engine.store.conversation(session_id)
    gone = {one.turn.id for one in report.left_out if one.picture is None}
    below = next((turn.id for turn in conversation.turns if turn.id not in gone), None)
    return conversation.summary.text if conversation.summary else "", below


def _known(report: ContextReport, seen: int) -> list[KnownPicture]:
    """The stored pictures: the first ``seen`` of the prompt, and what was left out of it."""
    known = {
        cost.picture.number: KnownPicture(cost.picture.number, cost.picture.name)
        for cost in report.pictures[:seen]
    }
    for left_out in report.left_out:
        pictures = [left_out.picture] if left_out.picture else left_out.turn.pictures
        for picture in pictures:
            if picture.number not in known:
                known[picture.number] = KnownPicture(picture.number, picture.name, is_seen=False)
    return sorted(known.values(), key=lambda picture: picture.number)
