"""System prompts to choose from: built in, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping

from assistant.settings.schema import Settings

BUILT_IN: Mapping[str, str] = {
    "Brief": "Answer in one or two short sentences.",
    "Thorough": "Describe in detail what the pictures show before you answer, and say what you "
    "can't make out.",
    "Transcribe": "Write down the text in the pictures exactly as it stands, line by line, and "
    "nothing else.",
    "For a blind reader": "Describe each picture for someone who can't see it: the whole first, "
    "then the parts, with places and colours.",
}


def presets(settings: Settings) -> dict[str, str]:
    """Return all by name; the user's own replace built-in ones of the same name."""
    return {**settings.presets, **{n: t for n, t in BUILT_IN.items() if n not in settings.presets}}
