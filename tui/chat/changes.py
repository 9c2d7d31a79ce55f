"""Changes of the store by another terminal, and by marks of this one, in the open chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant.values.errors import PhichatError, SessionNotFoundError
from tui import messages

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine.engine import Engine
    from tui.chat.open_chat import OpenChat
    from tui.chat.part import Host

LOOK_S = 1.0
"""Seconds between two looks at whether anything was stored."""
LOOK_AT = 12
"""Last turns that are compared before a whole chat is read again."""


class Changes:
    """Reads the open chat again where it changed, on the branch that is shown."""

    def __init__(self, host: Host, engine: Engine, chat: OpenChat) -> None:
        self._host = host
        self._engine = engine
        self._chat = chat
        self.seen = ""
        """The state of the store that the screen shows; see :meth:`Engine.changes`."""
        self._looking = False

    def look(self, *, everything: bool = False) -> None:
        """Look in a thread whether anything changed; ``everything``: also above the last turns."""
        chat = self._chat
        if chat.switching.locked() and not everything:
            return  # the id may be of another chat than the turns: the next look comes soon
        session_id, shown = chat.session_id, tuple(chat.turns)
        if session_id is not None and (not shown or chat.answers(session_id)):
            return
        if self._looking and not everything:
            return
        self._looking = True
        ended, seen = chat.ended, self.seen

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

        self._host.in_thread(read)

    def skip_own(self, event: messages.DraftSaved) -> None:
        """Count as seen what this terminal stored itself."""
        if self.seen == event.before:
            self.seen = event.after
