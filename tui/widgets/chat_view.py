"""The conversation: a tail of turns is mounted, older ones load on the way up."""

from __future__ import annotations

from collections.abc import Sequence

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from assistant.conversation import Role, Turn
from tui.widgets.picture_view import LoadPicture
from tui.widgets.reply_turn import ReplyTurn, failure_words
from tui.widgets.user_turn import UserTurn

TAIL = 20
"""Turns mounted when a session is opened."""
BATCH = 10
"""Older turns mounted at a time."""
NEAR_TOP = 3
"""Lines from the top at which older turns are loaded."""

UNANSWERED = "This has no reply yet · ctrl+r answers it"


class Unanswered(Static):
    """Stands under a last turn that nobody answered."""

    def __init__(self) -> None:
        super().__init__(Content.styled(f"■ {UNANSWERED}", "$warning"))


class Failure(Static):
    """Stands where a reply would be that failed before its first word."""

    def __init__(self, message: str) -> None:
        super().__init__(failure_words(message))


class ChatView(VerticalScroll, can_focus=False):
    """Shows turns, oldest first; stays at the end while a reply grows unless one scrolled up."""

    def __init__(self, load_picture: LoadPicture) -> None:
        super().__init__()
        self._load_picture = load_picture
        self._older: list[Turn] = []
        self._loading_older = False

    @property
    def hidden_turns(self) -> int:
        """How many older turns are not mounted yet."""
        return len(self._older)

    async def show(self, turns: Sequence[Turn], *, answering: bool) -> None:
        """Show another conversation from its end; ``answering``: a reply is on its way."""
        await self.remove_children()
        self._older = list(turns[:-TAIL])
        with self.app.batch_update():
            await self.mount_all([self._widget(turn) for turn in turns[-TAIL:]])
            if turns and turns[-1].role is Role.USER and not answering:
                await self.mount(Unanswered())
        self.anchor()

    async def add_user_turn(self, turn: Turn) -> None:
        """Add what the person just sent, and go to the end."""
        await self._remove_notes()
        await self.mount(UserTurn(turn, self._load_picture))
        self.anchor()

    async def add_live_reply(self, turn: Turn) -> ReplyTurn:
        """Add a reply that grows."""
        await self._remove_notes()
        reply = ReplyTurn(turn, live=True)
        await self.mount(reply)
        self.anchor()
        return reply

    async def add_failure(self, message: str) -> None:
        """Say why there is no reply."""
        await self._remove_notes()
        await self.mount(Failure(message))
        self.anchor()

    async def drop_last_reply(self) -> None:
        """Take the last reply off the screen: it is being written anew."""
        turns = [child for child in self.children if isinstance(child, UserTurn | ReplyTurn)]
        if turns and isinstance(turns[-1], ReplyTurn):
            await turns[-1].remove()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Load older turns when the top comes near."""
        super().watch_scroll_y(old_value, new_value)
        if new_value <= NEAR_TOP and new_value < old_value:
            self.load_older()

    def load_older(self) -> None:
        """Mount the next batch of older turns above, keeping in place what is being read."""
        if not self._older or self._loading_older:
            return
        self._loading_older = True
        self.call_later(self._mount_older)

    async def _mount_older(self) -> None:
        batch = self._older[-BATCH:]
        del self._older[-BATCH:]
        height, position = self.virtual_size.height, self.scroll_y
        first = self.children[0] if self.children else None
        await self.mount_all([self._widget(turn) for turn in batch], before=first)

        def keep_place() -> None:
            grown = self.virtual_size.height - height
            self.scroll_to(y=position + grown, animate=False, force=True)
            self._loading_older = False

        self.call_after_refresh(keep_place)

    async def _remove_notes(self) -> None:
        await self.query(Unanswered).remove()
        await self.query(Failure).remove()

    def go(self, where: str) -> None:
        """Scroll by a page (``page_up``, ``page_down``) or to the ``end``."""
        if where == "end":
            self.anchor()
        elif where == "page_up":
            self.load_older_at_top()
            self.scroll_page_up(animate=False)
        else:
            self.scroll_page_down(animate=False)

    def load_older_at_top(self) -> None:
        """Load older turns where the top is shown already and can't be scrolled to."""
        if self.scroll_y <= NEAR_TOP:
            self.load_older()

    def _widget(self, turn: Turn) -> Widget:
        if turn.role is Role.USER:
            return UserTurn(turn, self._load_picture)
        return ReplyTurn(turn)
