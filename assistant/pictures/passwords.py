"""Passwords of documents that the user typed: in this process's memory alone, until it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

MOST = 20
"""Passwords that are tried on a document beside none; each takes a few milliseconds."""


class Passwords:
    """Passwords to be tried on documents that need one, the newest first."""

    def __init__(self) -> None:
        self._typed: deque[str] = deque(maxlen=MOST)
        self.ask: Callable[[str], str] | None = None
        """Asks the user for the password of a document by its name; "" gives up."""

    def add(self, password: str) -> None:
        """Try one more from now on."""
        self._typed.append(password)

    def tried(self, name: str) -> Iterator[str]:
        """Yield none, those that were typed, then what the user answers about the document."""
        yield ""
        yield from reversed(tuple(self._typed))
        while self.ask is not None and (password := self.ask(name)):
            self.add(password)
            yield password


PASSWORDS = Passwords()
"""Those of this process."""
