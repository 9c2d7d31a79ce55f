"""Sentence about pictures that the model sees in less detail than its default, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.values.context import ContextReport
from assistant.values.words import counted, short_count


def lowered_words(context: ContextReport) -> str:
    """Say which pictures get less detail, and why; "" when none does."""
    lowered = context.lowered
    if not lowered:
        return ""
    several = len(lowered) > 1
    in_full = sum(one.in_full for one in lowered)
    if in_full > context.picture_share:
        share = f"{short_count(context.picture_share)} of {short_count(context.budget)}"
        why = f" and one message's pictures share {share}"
    else:
        why = ", more than what is pinned and the message leave"
    parts = sorted({one.layout.detail for one in lowered})
    each = f"{parts[0]} to " if len(parts) > 1 else ""
    return (
        f"In full, {_pictures([one.picture.number for one in lowered])} "
        f"{'take' if several else 'takes'} {short_count(in_full)} tokens{why}: the model looks "
        f"at {'each' if several else 'it'} in {each}{counted(parts[-1], lowered[0].layout.part)}."
    )


def _pictures(numbers: Sequence[int]) -> str:
    """``picture 3``, ``pictures 1 to 14`` or ``pictures 1, 4 and 5``."""
    if len(numbers) == 1:
        return f"picture {numbers[0]}"
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"pictures {numbers[0]} to {numbers[-1]}"
    return f"pictures {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
