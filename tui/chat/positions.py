"""Places where chats were left: each opens there again, also after a restart."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from tui.widgets.turn_window import Place

log = logging.getLogger(__name__)

MOST = 1000
"""Places that are kept, the newest."""


class Places:
    """A small file in the cache folder; a chat that was left at its end has no entry."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._places: dict[str, Place | None] = {}
        """Places where this terminal left chats; None: at the end."""
        self._before: dict[str, Place] | None = None
        """Content of the file when it was read."""

    def load(self) -> None:
        """Read the file, once (in a thread)."""
        if self._before is None:
            self._before = self._read()

    def of(self, session_id: str) -> Place | None:
        """Return the place where a chat was left; None: at its end."""
        if session_id in self._places:
            return self._places[session_id]
        return (self._before or {}).get(session_id)

    def leave(self, session_id: str | None, place: Place | None) -> None:
        """Note the place that the user reads in a chat."""
        if session_id is not None:
            self._places[session_id] = place

    def save(self) -> None:
        """Write the places that changed over those that other terminals wrote meanwhile."""
        if all(place == (self._before or {}).get(one) for one, place in self._places.items()):
            return
        kept = {one: place for one, place in self._read().items() if one not in self._places}
        kept |= {one: place for one, place in self._places.items() if place is not None}
        newest = dict(list(kept.items())[-MOST:])
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            written, name = tempfile.mkstemp(dir=self._file.parent)
            with os.fdopen(written, "w", encoding="utf-8") as file:
                json.dump({one: asdict(place) for one, place in newest.items()}, file)
            os.replace(name, self._file)
        except OSError:  # a warning would stand in the terminal, which is the user's again
            log.info("the places of the chats could not be kept", exc_info=True)

    def _read(self) -> dict[str, Place]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            return {one: Place(str(at["turn_id"]), int(at["line"])) for one, at in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            log.exception("the places of the chats can't be read")
            return {}
