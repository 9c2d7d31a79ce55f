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

ENDINGS = {
    FinishReason.STOPPED: "stopped · ctrl+t goes on, ctrl+r asks again",
    FinishReason.LENGTH: "cut off: the longest reply was reached · ctrl+t goes on",
    FinishReason.INTERRUPTED: "interrupted · ctrl+t goes on, ctrl+r asks again",
    FinishReason.ERROR: "the model failed here · ctrl+t goes on, ctrl+r asks again",
}
"""Notes under replies that did not end by themselves."""


def failure_words(message: str, *, begun: bool = False) -> Content:
    """Return the failure and the keys that help; ``begun``: there is half a reply."""
    can_do = "ctrl+t goes on, ctrl+r asks again" if begun else "ctrl+r tries again"
    return Content.assemble((f"✗ {one_line(message)}", "$error"), (f"  {can_do}", "$phi-quiet"))


class ReplyTurn(Vertical):
    """One reply, complete or still growing.

    What grows it may come when its parts are gone: it was taken off, or the app ends.
    """

    def __init__(self, turn: Turn, *, live: bool = False) -> None:
        """Show ``turn``; with ``live`` its text arrives through :meth:`grow` and nowhere else."""
        super().__init__(classes="live" if live else None)
        self.set_class(turn.excluded, "excluded")
        self.turn = turn
        self.live = live
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
        self.head.show(self._speaker(), turn)
        mark = Content.styled(f"■ not stored: {one_line(unstored)}", "$error")
        self._show_note(mark if unstored else self._note())

    def fail(self, turn: Turn | None, message: str) -> None:
        """End the reply with an error; its text so far stays."""
        self.end(turn or self.turn)
        self._show_note(failure_words(message, begun=bool(self.turn.text)))

    def _speaker(self) -> Content:
        return Content.styled(model_name(self.turn.model or "phi-3 vision"), "bold $secondary")

    def _note(self) -> Content:
        if self.live:
            return Content("")
        turn = self.turn
        if turn.finish_reason in ENDINGS:
            style = "$error" if turn.finish_reason is FinishReason.ERROR else "$warning"
            return Content.styled(f"■ {ENDINGS[turn.finish_reason]}", style)
        if turn.finish_reason is None:
            return Content.styled("… being written in another window", "italic $phi-quiet")
        return Content("")

    def _show_note(self, words: Content) -> None:
        note = self._note_line
        if note.content != words:  # this is called with every word of the reply
            note.update(words)
            note.display = bool(words.plain)
