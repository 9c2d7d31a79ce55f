"""Download of one model in the background."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from assistant.values.errors import PhichatError
from assistant.values.words import bar, duration, file_size, model_name
from tui.widgets.turn_run import unexpected_words

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.models.progress import Progress

log = logging.getLogger(__name__)


class Download:
    """State of a download: its thread writes it, the screen reads it. A stop keeps what came."""

    def __init__(self, engine: Engine, model_id: str) -> None:
        self.model_id = model_id
        self.progress: Progress | None = None
        self.error = ""
        """One sentence, where it failed."""
        self.is_over = False
        self._engine = engine
        self._cancelled = threading.Event()

    @property
    def was_stopped(self) -> bool:
        """Whether the user stopped it."""
        return self._cancelled.is_set()

    def stop(self) -> None:
        """End it within a moment."""
        self._cancelled.set()

    def run(self) -> None:
        """Fetch the model (in a thread)."""
        try:
            self._engine.model.pull(self.model_id, self._heard, self._cancelled.is_set)
        except PhichatError as refused:
            self.error = "" if self.was_stopped else str(refused)
        except Exception as unexpected:  # whatever it is, the app goes on
            log.exception("a download failed")
            self.error = unexpected_words(unexpected)
        else:
            self._cancelled.clear()  # a stop that came too late
        finally:
            self.is_over = True

    def _heard(self, progress: Progress) -> None:
        self.progress = progress

    def words(self) -> str:
        """Return ``⇣ Phi-3-vision 12 % ▰▱▱▱▱▱▱▱ 1.0 GB of 8.3 GB · 12.0 MB/s · 11 min left``."""
        name, now = f"⇣ {model_name(self.model_id)}", self.progress
        if now is None:
            return f"{name} asking the hub …"
        percent = min(100, 100 * now.done // now.total) if now.total else 0
        words = f"{name} {percent} % {bar(now.done, now.total)}"
        if now.doing == "checking":
            return f"{words} checking"
        words += f" {file_size(now.done)} of {file_size(now.total)}"
        if now.bytes_per_s:
            words += f" · {file_size(int(now.bytes_per_s))}/s"
        if now.seconds_left is not None:
            words += f" · {duration(now.seconds_left)} left"
        return words
