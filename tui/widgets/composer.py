"""The composer: the pictures and the words of the next message."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from assistant.conversation import Draft
from assistant.plain_text import one_line
from tui.commands import Slash, find_slash, split_slash
from tui.widgets.chip_bar import ChipBar
from tui.widgets.prompt_area import ParseDropped, PromptArea

PLACEHOLDER = "Ask about a picture: drop one here, or ctrl+o"
READY_HINT = "enter sends · ctrl+j new line · / commands"
BUSY_HINT = "esc stops the reply"
MOST_CANDIDATES_SHOWN = 8


class Composer(Vertical):
    """Holds the draft; says what the person wants and leaves the doing to the screen."""

    busy: reactive[bool] = reactive(False)
    """A reply is being written."""

    @dataclass
    class Sent(Message):
        """The draft shall be sent. The composer keeps it until :meth:`Composer.clear`."""

        draft: Draft

    @dataclass
    class AttachRequested(Message):
        """Paths or URLs were dropped, typed or named with ``/attach``."""

        sources: tuple[str, ...]

    @dataclass
    class CommandEntered(Message):
        """A slash command was typed."""

        command: Slash
        argument: str

    @dataclass
    class Declined(Message):
        """What was typed can't be done; ``reason`` is one plain sentence, the text stays."""

        reason: str

    def __init__(self, parse_dropped: ParseDropped) -> None:
        super().__init__()
        self._parse_dropped = parse_dropped

    def compose(self) -> ComposeResult:
        """The chips, the text, the candidates of a completion."""
        yield ChipBar()
        yield PromptArea(self._parse_dropped, PLACEHOLDER)
        candidates = Static(classes="candidates")
        candidates.display = False
        yield candidates

    @property
    def area(self) -> PromptArea:
        """The text area."""
        return self.query_one(PromptArea)

    @property
    def chips(self) -> ChipBar:
        """The attached pictures."""
        return self.query_one(ChipBar)

    @property
    def draft(self) -> Draft:
        """What would be sent now."""
        return Draft(self.area.text, self.chips.files)

    async def clear(self) -> None:
        """Empty the composer: its draft is kept elsewhere."""
        await self.take(self.draft)

    async def take(self, draft: Draft) -> None:
        """Remove a draft that was sent; what was typed since then stays."""
        self.area.take(draft.text)
        await self.chips.take(draft.pictures)

    async def put(self, draft: Draft) -> None:
        """Put a draft back in front of whatever was typed since."""
        typed = self.draft
        await self.chips.take(typed.pictures)
        await self.chips.add(*draft.pictures, *typed.pictures)
        texts = [text for text in (draft.text, typed.text) if text.strip()]
        self.area.set_text("\n".join(texts))

    def watch_busy(self, busy: bool) -> None:
        """Say below the text what enter or esc will do."""
        self.border_subtitle = BUSY_HINT if busy else READY_HINT
        self.set_class(busy, "busy")

    @on(PromptArea.Submitted)
    def _read_text(self, event: PromptArea.Submitted) -> None:
        event.stop()
        if command := split_slash(event.text):
            self._run(event.text, *command)
        elif sources := self._parse_dropped(event.text):
            self.area.take(event.text)
            self.post_message(self.AttachRequested(tuple(sources)))
        elif self.chips.opening:
            self.post_message(self.Declined("A picture is still being opened; send again then."))
        elif event.text.strip():
            self.post_message(self.Sent(Draft(event.text, self.chips.files)))
        elif self.chips.files:
            self.post_message(self.Declined("Ask something about the picture, then press enter."))

    def _run(self, text: str, name: str, argument: str) -> None:
        command = find_slash(name)
        if command is None:
            reason = f"There is no command {one_line(name, 30)}; F1 lists them all."
            self.post_message(self.Declined(reason))
        else:
            self.area.take(text)
            self.post_message(self.CommandEntered(command, argument))

    @on(PromptArea.FilesDropped)
    def _pass_on_files(self, event: PromptArea.FilesDropped) -> None:
        event.stop()
        self.post_message(self.AttachRequested(event.sources))

    @on(PromptArea.BackspacedAtStart)
    async def _take_last_chip(self, event: PromptArea.BackspacedAtStart) -> None:
        event.stop()
        await self.chips.remove_last()

    @on(PromptArea.Completed)
    def _show_candidates(self, event: PromptArea.Completed) -> None:
        event.stop()
        names = [one_line(name, 40) for name in event.candidates[:MOST_CANDIDATES_SHOWN]]
        if more := len(event.candidates) - len(names):
            names.append(f"and {more} more")
        self._show_names(names)

    @on(PromptArea.Changed)
    def _hide_candidates(self, event: PromptArea.Changed) -> None:
        event.stop()
        self._show_names([])

    def _show_names(self, names: list[str]) -> None:
        candidates = self.query_one(".candidates", Static)
        candidates.update(Content("   ".join(names)))
        candidates.display = bool(names)
