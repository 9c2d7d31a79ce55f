"""Stop strings: texts that end a reply, found across the borders between tokens."""

from __future__ import annotations

from collections.abc import Iterable

from assistant.values.text import begun


class StopStrings:
    """Search of a growing text for the first of several strings.

    What may still turn out to be the beginning of one is held back. ``begun`` is
    what was shown before: only what it ends with is looked at again.
    """

    def __init__(self, strings: Iterable[str], begun: str = "") -> None:
        self._strings = tuple(filter(None, strings))
        self.held = begun[len(begun) - self._overlap(begun) :]
        """Text held back."""

    def feed(self, text: str) -> tuple[str, bool]:
        """Add text; returns the text that can be shown, and whether a string was found."""
        text = self.held + text
        found = [at for one in self._strings if (at := text.find(one)) >= 0]
        if found:
            self.held = ""
            return text[: min(found)], True
        shown = len(text) - self._overlap(text)
        self.held = text[shown:]
        return text[:shown], False

    def flush(self) -> str:
        """Return the text held back, which belongs to no stop string."""
        held, self.held = self.held, ""
        return held

    def _overlap(self, text: str) -> int:
        return max((begun(text, one) for one in self._strings), default=0)
