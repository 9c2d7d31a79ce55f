"""Composer: the pictures and the words of the next message."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import reactive

from assistant.values.conversation import Draft
from assistant.values.text import one_line
from assistant.values.words import counted, joined
from tui.keys import Slash, find_slash, split_slash
from tui.requests import notify
from tui.widgets.chip import NAME_WIDTH
from tui.widgets.chip_bar import ChipBar
from tui.widgets.chip_unopened import OpeningChip
from tui.widgets.completion import KnownPicture
from tui.widgets.prompt_area import PromptArea
from tui.widgets.queue_bar import QueueBar
from tui.widgets.suggestions import Suggestions

if TYPE_CHECKING:
    from assistant.engine import Engine

PLACEHOLDER = "Ask about a picture: drop one here, or ctrl+o"
READY_HINT = "enter sends · ctrl+j new line · / commands"
BUSY_HINT = "enter queues · esc stops the reply"
NOTICE_HINT = "enter sends · esc clears the notice · F12 all notices"
EDITING = "another version of your message · esc leaves it as it was"
MORE_BELOW = "↓ the chat goes on below · ctrl+end"
PATIENCE_S = 1.0
"""Seconds that the first refusal of several pictures waits for the others."""
MOST_NAMES = 4


class Composer(Vertical):
    """Holds the draft and opens its pictures; posts, in order, what is sent or asked for."""

    busy: reactive[bool] = reactive(False)
    """A reply is being written."""
    has_notice: reactive[bool] = reactive(False)
    """A notice stands above."""
    edited: reactive[str | None] = reactive(None)
    """The id of the message of which another version is being written."""
    more_below: reactive[bool] = reactive(False)
    """The user reads further up in the chat."""

    @dataclass
    class DraftChanged(Message):
        """Words or pictures were changed."""

    @dataclass
    class Sent(Message):
        """The text, of which the composer has let go, shall be sent with the pictures."""

        text: str

    @dataclass
    class AttachRequested(Message):
        """Paths or URLs were dropped, pasted or typed."""

        sources: tuple[str, ...]

    @dataclass
    class CommandEntered(Message):
        """A slash command was typed."""

        command: Slash
        argument: str

    @dataclass
    class NothingEntered(Message):
        """Enter was pressed with no text and no picture."""

    @dataclass
    class LeaveWanted(Message):
        """The app shall end, after everything that the composer posted before this."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(id="composer")
        self._engine = engine
        self._find_dropped = engine.pictures.find_dropped
        self._aside: Draft | None = None
        self._refused: list[OpeningChip.Refused] = []

    def compose(self) -> ComposeResult:
        yield QueueBar()
        yield ChipBar()
        yield PromptArea(self._find_dropped, PLACEHOLDER)
        yield Suggestions()

    @property
    def area(self) -> PromptArea:
        """The text that is being written."""
        return self.query_one(PromptArea)

    @property
    def chips(self) -> ChipBar:
        """The attached pictures."""
        return self.query_one(ChipBar)

    @property
    def draft(self) -> Draft:
        """The message that enter would send."""
        return Draft(self.area.text, self.chips.files)

    @property
    def unsent(self) -> Draft:
        """The draft, and below it the one that was put aside to edit a message."""
        return self.draft if self._aside is None else joined(self.draft, self._aside)

    async def clear(self) -> Draft:
        """Empty the composer and return its draft, to be kept elsewhere."""
        await self.chips.give_up_opening()
        unsent = self.unsent
        self.edited, self._aside = None, None
        self.area.set_text("")
        await self.chips.take(unsent.pictures)
        return unsent

    async def begin_edit(self, turn_id: str, draft: Draft) -> None:
        """Write another version of a message; what is being written is put aside meanwhile."""
        if self.edited is None:
            self._aside = self.draft
        self.area.set_text("")
        await self.chips.take(self.chips.files)
        self.edited = turn_id  # first: what follows is counted and numbered in its place
        await self.put(draft)

    async def end_edit(self) -> None:
        """Go back to what was being written before the edit."""
        aside, self._aside, self.edited = self._aside, None, None
        if aside is not None:
            await self.put(aside)

    async def give_up_edit(self) -> None:
        """Leave the message as it was, and go back to what was being written."""
        self.area.set_text("")
        await self.chips.take(self.chips.files)
        await self.end_edit()

    def show_queue(self, drafts: Sequence[Draft]) -> None:
        """Show the messages that wait until the reply is over."""
        self.query_one(QueueBar).show(drafts)
        self.area.has_queue = bool(drafts)

    def show_pictures(self, pictures: Sequence[KnownPicture]) -> None:
        """Take these for what ``#`` can refer to."""
        self.area.pictures = tuple(pictures)
        self.query_one(Suggestions).look_at(self.area.text, pictures)

    async def put(self, draft: Draft) -> None:
        """Put a draft back in front of whatever was typed since."""
        await self.chips.put_first(*draft.pictures)
        self.area.put_first(draft.text)

    def watch_edited(self) -> None:
        self._show_title()

    def watch_more_below(self) -> None:
        self._show_title()

    def _show_title(self) -> None:
        self.border_title = EDITING if self.edited else MORE_BELOW if self.more_below else None

    def watch_busy(self, busy: bool) -> None:
        self.set_class(busy, "busy")
        self._show_hint()

    def watch_has_notice(self) -> None:
        self._show_hint()

    def _show_hint(self) -> None:
        hint = NOTICE_HINT if self.has_notice else READY_HINT
        self.border_subtitle = BUSY_HINT if self.busy else hint

    def quit_after_typing(self) -> None:
        """Post that the app shall end, behind the letters that were typed so far."""
        self.area.call_later(self.call_later, partial(self.post_message, self.LeaveWanted()))

    # Pictures

    async def attach(self, sources: Sequence[str]) -> None:
        """Attach the pictures at these paths and URLs."""
        for source in sources:
            await self.chips.open(source, partial(self._engine.pictures.open, source))

    def named(self, argument: str) -> list[str]:
        """Return the paths and URLs in ``argument``: all of its words if any surely is one."""
        try:
            words = shlex.split(argument)
        except ValueError:  # a quotation mark without its partner
            words = []
        several = any(
            word.startswith(("http://", "https://")) or self._named_alone(word) for word in words
        )
        return self._named_alone(argument) or (words if several else [argument])

    def _named_alone(self, text: str) -> list[str]:
        found = self._find_dropped(text)
        return [] if found.words else list(found.sources)

    async def action_paste_picture(self, text: str = "") -> None:
        """Attach the picture in the system's clipboard; where there is none, paste ``text``."""
        await self.chips.open(
            "the clipboard", lambda _: self._engine.pictures.open_clipboard(), text
        )

    @on(PromptArea.PictureWanted)
    async def _paste(self, event: PromptArea.PictureWanted) -> None:
        await self.action_paste_picture(event.text)

    @on(OpeningChip.Refused)
    def _note_refusal(self, event: OpeningChip.Refused) -> None:
        if event.chip.instead:
            self.area.paste_text(event.chip.instead)
            return
        self._refused.append(event)
        if not self.chips.opening:
            self._tell_refusals()
        elif len(self._refused) == 1:  # others may follow: one sentence for all
            self.set_timer(PATIENCE_S, self._tell_refusals)

    def _tell_refusals(self) -> None:
        refused, self._refused = self._refused, []
        if len(refused) > 1:
            names = [one_line(Path(one.chip.label).name, NAME_WIDTH) for one in refused]
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            notify(
                self,
                f"{counted(len(refused), 'picture')} can't be attached: "
                f"{', '.join(names[:MOST_NAMES])}{more}. Of the first: {refused[0].reason}",
                error=True,
            )
        elif refused:
            notify(self, refused[0].reason, error=True)

    @on(PromptArea.FilesDropped)
    def _attach_dropped(self, event: PromptArea.FilesDropped) -> None:
        self.post_message(self.AttachRequested(event.sources))

    @on(PromptArea.BackspacedAtStart)
    async def _take_last_chip(self) -> None:
        await self.chips.remove_last()

    # Text

    @on(PromptArea.Submitted)
    def _read_text(self, event: PromptArea.Submitted) -> None:
        text = event.text
        if command := split_slash(text):
            self._run(text, *command)
        elif (found := self._find_dropped(text)).sources:
            self.post_message(self.AttachRequested(found.sources))
            if found.words:
                self.decline(found.words, "Attached; enter sends the words.")
        elif text.strip():
            self.post_message(self.Sent(text))
        elif self.chips.files:
            notify(self, "Ask something about the picture, then press enter.")
        elif not self.chips.opening:
            self.post_message(self.NothingEntered())

    def _run(self, text: str, name: str, argument: str) -> None:
        command = find_slash(name)
        if command is None:
            self.decline(text, f"There is no command {one_line(name, 30)}; F1 lists them all.")
        else:
            self.post_message(self.CommandEntered(command, argument))

    def decline(self, text: str, reason: str) -> None:
        """Put a text back that can't be sent, and say why."""
        self.area.put_first(text)
        notify(self, reason)

    @on(PromptArea.Completed)
    def _show_candidates(self, event: PromptArea.Completed) -> None:
        if event.candidates:
            self.query_one(Suggestions).show_names(event.candidates)

    @on(PromptArea.Changed)
    def _look_at_text(self, event: PromptArea.Changed) -> None:
        event.stop()  # posted for every key
        area = self.area
        self.query_one(Suggestions).look_at(area.text, area.pictures)
        self.post_message(self.DraftChanged())

    @on(ChipBar.Changed)
    def _tell_change(self) -> None:
        self.post_message(self.DraftChanged())
