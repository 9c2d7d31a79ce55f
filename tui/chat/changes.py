"""Shows what another terminal, or a mark of one's own, changed: in the open chat, in the list."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from assistant.values.errors import PhichatError, SessionNotFoundError
from tui import messages
from tui.widgets.chat_pane import ChatPane

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine import Engine
    from tui.chat.screen import ChatScreen

LOOK_S = 1.0
"""Seconds between two looks at whether anything was stored."""
LIST_SHARE = 0.05
"""Reading the list anew for others' sake takes this share of the time at most: ten thousand
chats take a seventh of a second, and a reply in another terminal changes the store all the time."""
LOOK_AT = 12
"""So many last turns are compared before a whole chat is read again."""


class Following:
    """Stays on the branch that is shown, whatever another terminal goes on with."""

    def __init__(self, screen: ChatScreen, engine: Engine) -> None:
        self._screen = screen
        self._engine = engine
        self._seen = ""
        """The store's state that was read last; see :meth:`storage.Store.changes`."""
        self._looking = False

    def look(self, *, everything: bool = False) -> None:
        """Look whether anything changed; ``everything``: also far above the last turns."""
        if self._screen.switching.locked() and not everything:
            return  # the id may be of one chat already, the turns of another: the next look
        self._screen.actions.mark_summary()
        session_id, turns = self._screen.session_id, self._screen.turns
        pane = self._screen.query_one(ChatPane)
        self._screen.places.leave(session_id, pane.chat.place)  # the app may end at any time
        shown = tuple(pane.turns)
        if session_id is not None and (not shown or turns.answers(session_id)):
            return
        if self._looking and not everything:
            return
        self._looking = True
        ended, seen = turns.ended, self._seen

        def look() -> Message:
            now = self._engine.store.changes()
            if session_id is None or (now == seen and not everything):
                return messages.SessionRead(None, now, ended)
            if not everything and self._engine.store.tail(session_id, LOOK_AT) == shown[-LOOK_AT:]:
                return messages.SessionRead(None, now, ended)
            conversation = self._engine.store.conversation(session_id)
            if all(turn.id != shown[-1].id for turn in conversation.turns):
                conversation = self._engine.store.conversation(session_id, head=shown[-1].id)
            return messages.SessionRead(conversation, now, ended, end=shown[-1].id)

        def read() -> Message | None:
            try:
                return look()
            except SessionNotFoundError:
                return messages.SessionDeleted(session_id or "")
            except PhichatError:
                return None  # the next look may do better
            finally:
                self._looking = False

        self._screen.in_thread(read)

    def own_change(self, before: str, after: str) -> None:
        """What this terminal stored itself needs no look."""
        if self._seen == before:
            self._seen = after

    async def show(self, event: messages.SessionRead) -> None:
        """Show what was read, unless it is old news."""
        screen, conversation = self._screen, event.conversation
        if conversation is None:
            if event.changes == self._seen:
                return
            if monotonic() - screen.listed_at >= screen.listing_s / LIST_SHARE:
                screen.list_sessions()
                self._seen = event.changes
            return  # else the next look comes here again
        pane = screen.query_one(ChatPane)
        async with screen.switching:
            is_open = conversation.id == screen.session_id
            is_old = event.turns_ended != screen.turns.ended
            if not is_open or is_old or screen.turns.answers(conversation.id):
                return
            if event.end is not None and [event.end] != [turn.id for turn in pane.turns[-1:]]:
                return  # one went to another branch meanwhile
            self._seen = event.changes
            await pane.update(conversation.turns)
            screen.actions.look_up_versions([turn.id for turn in conversation.turns[-LOOK_AT:]])
            if event.select is not None:
                await screen.actions.select(event.select)
            screen.actions.refresh()
        screen.list_sessions()
