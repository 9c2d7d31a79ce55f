"""Words about a model that can be chosen: what choosing it does, its size, its speed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.content import Content

from assistant.values.text import one_line
from assistant.values.words import file_size

if TYPE_CHECKING:
    from assistant.core.memory.speed_estimate import Speed
    from assistant.models.catalogue import FoundModel

SLOW_S = 20
"""Seconds until an answer about one picture begins from which a model is called slow."""


def does(one: FoundModel, *, is_fetching: bool) -> str:
    """Return what choosing a model does."""
    name = one.known.title if one.known else one_line(one.name, 50)
    if one.in_use and one.whole:
        return f"● {name}: in use"
    if is_fetching:
        return f"{name}: is being fetched"
    if one.whole:
        return f"Use {'the demo model' if one.kind == 'demo' else name}"
    return f"Get {name}" if not one.bytes_here else f"Go on fetching {name}"


def facts(one: FoundModel) -> str:
    """Return its size on disk, its licence, and how much of it is here."""
    found = []
    if one.bytes:
        found.append(file_size(one.bytes))
    if one.known is not None:
        found.append(one.known.licence)
    if one.whole and one.kind in ("hub", "folder"):
        found.append("here")
    elif one.bytes_here and not one.whole:
        found.append(f"{file_size(one.bytes_here)} of it here")
    return ", ".join(found)


def fit(one: FoundModel, speeds: Mapping[str, Speed] | None) -> Content:
    """Return whether a model fits this machine and what it is like there; "" if it says nothing.

    ``speeds`` are None while this machine is measured.
    """
    plan = one.plan
    if plan is None:
        return (
            Content.styled(f"✗ {one_line(one.problem)}", "$error") if one.problem else Content("")
        )
    if plan.problem is not None:
        needed = file_size(plan.fixed_bytes + plan.reserve)
        free = file_size(plan.available)
        return Content.styled(f"✗ doesn't fit here now: needs {needed}, {free} are free", "$error")
    fits = Content.styled("✓ fits here", "$success")
    if speeds is None:
        return Content.assemble(fits, (" · measuring how fast it is here …", "$phi-quiet"))
    speed = speeds.get(one.name)
    if speed is None:
        return fits
    tokens = one.layout.tokens if one.layout is not None else 0
    seconds = speed.picture_s + tokens / speed.prefill_tokens_per_s
    style = "$warning" if seconds >= SLOW_S else "$success"
    return Content.assemble(fits, (f" · {speed_words(seconds)}", style))


def speed_words(seconds: float) -> str:
    """Return ``slow here: about 2.5 minutes a picture (estimated)``: until the answer begins."""
    pace = "slow here: " if seconds >= SLOW_S else ""
    return f"{pace}about {_about(seconds)} a picture (estimated)"


def _about(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} seconds" if seconds >= 1.5 else "a second"
    halves = round(seconds / 30) / 2
    return f"{halves:g} minutes"
