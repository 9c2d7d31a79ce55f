"""Line with the newest notice, below an error; it takes the space it needs and covers nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the user."""

    words: str
    is_error: bool
    at: datetime
    times: int = 1
    """The number of times that it was given in a row."""

    @property
    def content(self) -> Content:
        mark = ("✕ ", "bold $error") if self.is_error else ("• ", "$accent")
        again = f" ×{self.times}" if self.times > 1 else ""
        return Content.assemble(mark, self.words, (again, "$phi-quiet"))


class NoticeLine(Static):
    """Shows the newest error that stands, the newest notice after it, the number of the others."""

    standing: reactive[tuple[Notice, ...]] = reactive(())
    """The notices, the newest last."""

    class Clicked(Message):
        """All notices shall be shown."""

    @dataclass
    class Cleared(Message):
        """These notices shall stand no longer."""

        notices: tuple[Notice, ...]

    @dataclass
    class Changed(Message):
        """Notices came or went."""

        any_stand: bool

    def watch_standing(self, standing: tuple[Notice, ...]) -> None:
        self.set_class(not standing, "-empty")
        errors = [place for place, notice in enumerate(standing) if notice.is_error]
        places = {*errors[-1:], len(standing) - 1} if standing else set()
        lines = Content("\n").join(standing[place].content for place in sorted(places))
        more = len(standing) - len(places)
        self.update(Content.assemble(lines, (f"  (+{more})" if more else "", "$phi-quiet")))
        self.post_message(self.Changed(bool(standing)))

    def clear(self) -> bool:
        """Take all notices off; return whether there was one."""
        notices, self.standing = self.standing, ()
        self.post_message(self.Cleared(notices))
        return bool(notices)

    def take_off(self, words: str) -> None:
        """Take a notice off, which no longer is so."""
        self.post_message(self.Cleared(tuple(one for one in self.standing if one.words == words)))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked())
