"""What was typed before, walked with up and down."""

from __future__ import annotations

from collections.abc import Iterable


class PromptHistory:
    """The prompts of a session, oldest first; the text being written is kept while walking."""

    def __init__(self) -> None:
        self._entries: list[str] = []
        self._position = 0
        self._unsent = ""

    def load(self, entries: Iterable[str]) -> None:
        """Start over with the prompts of another session."""
        self._entries = []
        for entry in entries:
            self.add(entry)
        self._position = len(self._entries)

    def add(self, text: str) -> None:
        """Remember a prompt that was sent; repeating the last one adds nothing."""
        if text.strip() and (not self._entries or self._entries[-1] != text):
            self._entries.append(text)
        self._position = len(self._entries)
        self._unsent = ""

    def older(self, current: str) -> str | None:
        """Return the prompt before the shown one, or None at the oldest."""
        if self._position == 0:
            return None
        if self._position == len(self._entries):
            self._unsent = current
        self._position -= 1
        return self._entries[self._position]

    def newer(self) -> str | None:
        """Return the prompt after the shown one, at the end the unsent text, then None."""
        if self._position >= len(self._entries):
            return None
        self._position += 1
        if self._position == len(self._entries):
            return self._unsent
        return self._entries[self._position]
