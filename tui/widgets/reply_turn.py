"""Turn of the model: its text, its progress, and its end."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Static

from assistant.values.conversation import FinishReason, Turn
from assistant.values.text import one_line
from assistant.values.words import model_name
from tui.widgets.ground import ground
from tui.widgets.reply_text import ReplyText
from tui.widgets.thought_line import ThoughtLine
from tui.widgets.turn_head import TurnClicked, TurnHead

EITHER = "ctrl+t goes on, ctrl+r asks again"
ENDINGS = {
    FinishReason.STOPPED: ("stopped", EITHER),
    FinishReason.LENGTH: ("cut off: the longest reply was reached", "ctrl+t goes on"),
    FinishReason.INTERRUPTED: ("interrupted", EITHER),
    FinishReason.ERROR: ("the model failed here", EITHER),
}
"""Notes under replies that did not end by themselves, and the keys for the last of a chat."""


def failure_words(message: str, can_do: str = "ctrl+r tries again") -> Content:
    """Return the failure and the keys that help."""
    return Content.assemble((f"✗ {one_line(message)}", "$error"), (f"  {can_do}", "$phi-quiet"))


class ReplyTurn(Vertical):
    """One reply, complete or still growing.

    What grows it may come when its parts are gone: it was taken off, or the app ends.
    """

    def __init__(self, turn: Turn, *, live: bool = False, is_last: bool = True) -> None:
        """Show ``turn``; with ``live`` its text arrives through :meth:`grow` and nowhere else."""
        super().__init__(classes="live" if live else None)
        self.set_class(turn.excluded, "excluded")
        self.turn = turn
        self.live = live
        self._is_last = is_last
        self._failure = self._unstored = ""
        """Sentences on how the reply ended, and why that is not stored, as this app saw it."""
        self._make_parts()

    def _make_parts(self) -> None:
        turn, note = self.turn, self._note()
        self.head = TurnHead(self._speaker(), turn)
        self._thought = ThoughtLine(turn.thought)
        self._text = ReplyText("" if self.live else turn.text)
        self._note_line = Static(note, classes="note")
        self._note_line.display = bool(note.plain)

    def compose(self) -> ComposeResult:
        yield self.head
        if self.live or self.turn.thought is not None:
            yield self._thought
        yield self._text
        if self.live or self._note_line.display:  # one widget less for most turns of a long chat
            yield self._note_line

    def render_lines(self, crop: Region) -> list[Strip]:
        return ground(super().render_lines, crop)

    async def show(self, turn: Turn) -> None:
        """Show the reply as it is now: marked, or grown in another terminal."""
        before, self.turn = self.turn, turn
        if before.finish_reason is not turn.finish_reason:
            self._failure = self._unstored = ""
        self.set_class(turn.excluded, "excluded")
        if (before.text, before.finish_reason, before.thought) == (
            turn.text,
            turn.finish_reason,
            turn.thought,
        ):
            self.head.show(self._speaker(), turn)
        else:
            self._make_parts()
            await self.recompose()

    def on_click(self) -> None:
        self.post_message(TurnClicked(self.turn.id))

    def grow(self, text: str) -> None:
        """Add text to the growing reply."""
        self._show_note(Content(""))
        if text:
            self._thought.end()
        self._text.grow(text)

    def think(self, text: str, since: float | None = None) -> None:
        """Add to what the model thinks before its reply, ``since`` some monotonic second."""
        self._show_note(Content(""))
        self._thought.grow(text, since)

    def unfold_thought(self) -> None:
        """Show what the model thought, or fold it."""
        self._thought.toggle()

    def show_progress(self, words: str) -> None:
        """Show what the model does before it writes."""
        if self.live:
            self._show_note(Content.styled(one_line(words), "italic $phi-quiet"))

    def end(self, turn: Turn, unstored: str = "") -> None:
        """End the growing reply, which was stored as ``turn``; or was not, and why."""
        self._text.finish()
        self._thought.end(turn.thought)
        self.turn = turn
        self.live = False
        self.remove_class("live")
        self._unstored = unstored
        self.head.show(self._speaker(), turn)
        self._show_note(self._note())

    def fail(self, turn: Turn | None, message: str) -> None:
        """End the reply with an error; its text so far stays."""
        self._failure = message
        self.end(turn or self.turn)

    def show_last(self, is_last: bool) -> None:
        """Show whether this is the last turn: keys that answer on are named there alone."""
        if is_last != self._is_last:
            self._is_last = is_last
            if not self.live:
                self._show_note(self._note())

    def _speaker(self) -> Content:
        return Content.styled(model_name(self.turn.model or "phi-3 vision"), "bold $secondary")

    def _note(self) -> Content:
        if self.live:
            return Content("")
        turn = self.turn
        if self._unstored:
            return Content.styled(f"■ not stored: {one_line(self._unstored)}", "$error")
        if self._failure:
            can_do = EITHER if turn.text else "ctrl+r tries again"
            return failure_words(self._failure, can_do if self._is_last else "")
        if turn.finish_reason in ENDINGS:
            style = "$error" if turn.finish_reason is FinishReason.ERROR else "$warning"
            ending, keys = ENDINGS[turn.finish_reason]
            return Content.styled(f"■ {ending} · {keys}" if self._is_last else f"■ {ending}", style)
        if turn.finish_reason is None:
            return Content.styled("… being written in another window", "italic $phi-quiet")
        return Content("")

    def _show_note(self, words: Content) -> None:
        note = self._note_line
        if note.content != words:  # this is called with every word of the reply
            note.update(words)
            note.display = bool(words.plain)
