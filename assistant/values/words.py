"""Formatting of counts, sizes, ages, durations and model names for the user."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime

from assistant.values.conversation import Draft, Timings, Usage
from assistant.values.text import one_line

LEAST_TOKENS = 16
"""Tokens of a reply of which a rate is shown: the first few come in a burst or after a pause."""


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago ``then`` was: ``now``, ``5 min``, ``3 h``, ``yesterday``, ``12 Mar``."""
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = (now - then).total_seconds()
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h"
    if seconds < 7 * 86400:
        days = int(seconds // 86400)
        return "yesterday" if days == 1 else counted(days, "day")
    local = then.astimezone(now.tzinfo)
    return f"{local.day} {local:%b}" if local.year == now.year else f"{local:%b %Y}"


def counted(count: int, noun: str) -> str:
    """Return ``1 picture``, ``3 pictures`` or ``1,200 pictures``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def file_size(size: int) -> str:
    """Return a number of bytes in units of 1000: ``812 B``, ``12 kB``, ``8.3 GB``, ``123 MB``."""
    if size < 1000:
        return f"{size} B"
    if size < 999_500:
        return f"{size / 1000:.0f} kB"
    unit, name = (1e6, "MB") if size < 999_500_000 else (1e9, "GB")
    return f"{size / unit:.{1 if size < 99.95 * unit else 0}f} {name}"


def duration(seconds: float) -> str:
    """Return a time in one unit or two: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def rate(usage: Usage | None, timings: Timings | None) -> str:
    """Return ``21.5 tokens/s``, and "" for a reply that is too short to tell."""
    if usage is None or timings is None or usage.completion_tokens < LEAST_TOKENS:
        return ""
    return f"{timings.decode_tokens_per_s:.1f} tokens/s" if timings.decode_tokens_per_s > 0 else ""


def short_count(number: int) -> str:
    """Return a token count in at most four characters or so: ``812``, ``3.1k``, ``128k``."""
    if number < 1000:
        return str(number)
    thousands = number / 1000
    return f"{thousands:.1f}k" if thousands < 10 else f"{thousands:.0f}k"


def server_place(model: str) -> str:
    """Return host and port where the name of a model is the address of a server, else ""."""
    scheme, found, rest = model.partition("://")
    is_server = found and scheme.lower() in ("http", "https")
    return one_line(rest.partition("/")[0], 40) if is_server else ""


def model_name(model: str) -> str:
    """Return the short name of a hub id, a folder or a server's model: its last part."""
    if place := server_place(model):
        model = model.partition("#")[2] or place
    return one_line(model.rstrip("/").rsplit("/", 1)[-1], 40) or "model"


def pip_install(*arguments: str) -> str:
    """Return the command that installs packages beside phichat, wherever that is installed."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def joined(first: Draft | None, second: Draft) -> Draft:
    """Return two drafts as one, the first above."""
    if first is None:
        return second
    texts = [text for text in (first.text, second.text) if text.strip()]
    return Draft("\n\n".join(texts), first.pictures + second.pictures)


def bar(done: float, total: float) -> str:
    """Return ``▰▰▰▱▱▱▱▱`` for how much of ``total`` is ``done``."""
    cells = 8
    full = min(cells, int(cells * done / total)) if total > 0 else 0
    return "▰" * full + "▱" * (cells - full)
