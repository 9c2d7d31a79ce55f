"""View of a conversation: turns are added, grow, change and are removed."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from assistant.values.conversation import Role, Turn, TurnKind
from tui.widgets.reply_turn import ReplyTurn, failure_words
from tui.widgets.turn_window import TAIL, Note, TurnWindow
from tui.widgets.user_turn import UserTurn

UNANSWERED = "This has no reply yet · ctrl+r answers it"


class Unanswered(Note):
    """Stands under a last turn that has no reply."""

    def __init__(self) -> None:
        super().__init__(Content.styled(f"■ {UNANSWERED}", "$warning"))


class Failure(Note):
    """Stands where a reply would be that failed before its first word."""

    def __init__(self, message: str) -> None:
        super().__init__(failure_words(message))


class ChatView(TurnWindow, can_focus=False):
    """Shows turns, oldest first; stays at the end while a reply grows, unless the user scrolled."""

    async def show(self, turns: Sequence[Turn], *, answering: bool) -> None:
        """Show another conversation from its end; ``answering``: a reply is on its way."""
        async with self._changing:
            self._live, self._last_note = None, None
            await self.remove_children()
            self.turns[:] = turns
            if turns and _asks(turns[-1]) and not answering:
                self._last_note = Unanswered
            await self._mount_only(self._tail())
            self.anchor()
        self._stir()

    async def add_user_turn(self, turn: Turn) -> None:
        """Add a message that was just sent, and go to the end."""
        await self._add(turn, UserTurn(turn, self._gallery))

    async def add_live_reply(self, turn: Turn) -> ReplyTurn:
        """Add a reply that grows."""
        reply = ReplyTurn(turn, live=True)
        await self._add(turn, reply)
        self._live = reply
        return reply

    def end_live_reply(self, turn: Turn) -> None:
        """Replace the growing reply by ``turn``, as it was stored."""
        self.turns[-1] = turn
        if self._live is not None and not self._live.display:
            self._live.remove()
        self._live = None

    async def add_failure(self, message: str) -> None:
        """Say below the turns why there is no reply."""
        async with self._changing:
            await self._to_end()
            await self._set_note(lambda: Failure(message))

    async def cut_below(self, turn_id: str | None) -> None:
        """Remove what follows a turn (None: everything), because another branch begins there."""
        ids = [turn.id for turn in self.turns]
        if turn_id is None:
            await self.update(())
        elif turn_id in ids and turn_id != ids[-1]:
            await self.update(self.turns[: ids.index(turn_id) + 1])

    async def update(self, turns: Sequence[Turn]) -> None:
        """Show these turns; those that are shown already stay where they are."""
        async with self._changing:
            await self._update(turns)

    async def _update(self, turns: Sequence[Turn]) -> None:
        old, self.turns[:] = tuple(self.turns), turns
        pairs = enumerate(zip(old, turns, strict=False))
        kept = next((i for i, (a, b) in pairs if a.id != b.id), min(len(old), len(turns)))
        window, at_end = self._mounted_range, self._mounted_range.stop == len(old)
        widgets = self._turn_widgets()
        for index in range(window.start, min(window.stop, kept)):
            if old[index] != turns[index]:
                await _show(widgets[index - window.start], turns[index])
        if kept == len(old) == len(turns):
            return
        gone = widgets[max(0, kept - window.start) :]
        with self.app.batch_update():
            if self._live in gone:
                self._live = None
            await self.remove_children(gone)
            self._mounted_range = range(min(window.start, kept), min(window.stop, kept))
            self._last_note = Unanswered if turns and _asks(turns[-1]) else None
            more = len(turns) - self._mounted_range.stop
            if more > TAIL or not self._mounted_range:
                await self._mount_only(self._tail())
            elif at_end:
                await self._mount_below(more)
                await self._trim_top()
        self._frame_parts()
        self._show_last()
        self._stir()

    async def _add(self, turn: Turn, widget: Widget) -> None:
        async with self._changing:
            await self._to_end()
            await self._set_note(None)
            self.turns.append(turn)
            await self.mount(widget)
            self._mounted_range = range(self._mounted_range.start, len(self.turns))
            await self._trim_top()
            self.anchor()
        self._frame_parts()
        self._show_last()
        self._stir()


def _asks(turn: Turn) -> bool:
    return turn.role is Role.USER and turn.kind is TurnKind.MESSAGE


async def _show(widget: UserTurn | ReplyTurn, turn: Turn) -> None:
    if isinstance(widget, UserTurn):
        widget.show(turn)
    else:
        await widget.show(turn)
