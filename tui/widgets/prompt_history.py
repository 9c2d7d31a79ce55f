"""History of prompts, walked with up and down."""

from __future__ import annotations

from collections.abc import Iterable


class PromptHistory:
    """The prompts of a session, oldest first, and below them the text that is being written.

    A prompt that was changed on the way stays changed until something is sent.
    """

    def __init__(self) -> None:
        self._entries: list[str] = []
        self._changed: dict[int, str] = {}
        self._position = 0

    def load(self, entries: Iterable[str]) -> None:
        """Start over with the prompts of another session."""
        self._entries = []
        for entry in entries:
            self.add(entry)
        self._go_to_end()

    def add(self, text: str) -> None:
        """Remember a prompt that was sent; repeating the last one adds nothing."""
        if text.strip() and (not self._entries or self._entries[-1] != text):
            self._entries.append(text)
        self._go_to_end()

    def older(self, current: str) -> str | None:
        """Return the prompt before the shown one, or None at the oldest."""
        return self._go(-1, current)

    def newer(self, current: str) -> str | None:
        """Return the prompt after the shown one, at the end the unsent text, then None."""
        return self._go(1, current)

    def _go(self, by: int, current: str) -> str | None:
        position = self._position + by
        if not 0 <= position <= len(self._entries):
            return None
        self._changed[self._position] = current
        self._position = position
        unchanged = self._entries[position] if position < len(self._entries) else ""
        return self._changed.get(position, unchanged)

    def _go_to_end(self) -> None:
        self._changed.clear()
        self._position = len(self._entries)
