"""Drafts in the store: what is typed, attached or queued in each chat and not sent."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from assistant.values.conversation import Draft, Role
from assistant.values.errors import PhichatError
from assistant.values.words import joined
from tui import messages
from tui.chat.unsaved import read_aside, remove
from tui.requests import unless_deleted

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine.engine import Engine
    from tui.chat.open_chat import OpenChat
    from tui.chat.part import Host

LOOK_AT = 12
"""Turns, or chats, among which a draft is looked for that another terminal may have sent."""

log = logging.getLogger(__name__)

SENDING_S = 1.0
"""Longest wait, at the end of the app, for a message that is just being stored."""
LEAVING_S = 1.0
"""Longest wait, at the end of the app, for drafts that are being saved."""


class DraftKeeper:
    """Saves the draft of the open chat, and of each chat what waits in the queue."""

    def __init__(self, host: Host, engine: Engine, chat: OpenChat) -> None:
        self._host = host
        self._engine = engine
        self._chat = chat
        self.typed = Draft("")
        """The draft of the open chat."""
        self._read: set[str | None] = set()
        """Sessions whose stored draft was brought back; nothing is saved for others."""
        self._saved: dict[str | None, Draft] = {}
        """Drafts as they stand in the store, as far as this app wrote or read them."""
        self._known: dict[str | None, frozenset[str]] = {}
        """The last turns of sessions, or the last sessions, when their drafts were saved."""
        self._to_save: dict[str | None, Draft] = {}
        """Drafts that the threads begun for them have not written yet."""
        self._writing = threading.Lock()
        """Held while a draft is written, so that the last one to be saved is the one that stays."""

    def save(self, session_id: str | None) -> None:
        """Save the draft of a chat, in a thread."""
        if session_id in self._read:
            self._to_save[session_id] = self._whole(session_id)
            self._host.in_thread(unless_deleted(lambda: self._store(session_id)))

    def read(self) -> None:
        """Read the stored draft of the open chat, once, and what could not be stored of it."""
        session_id = self._chat.session_id
        if session_id not in self._read:

            def read() -> Message:
                return messages.DraftRead(session_id, self._stored(session_id))

            self._host.in_thread(unless_deleted(read))

    @property
    def has_read(self) -> bool:
        """Whether the stored draft of the open chat was brought back: else it is another's."""
        return self._chat.session_id in self._read

    def take(self, event: messages.DraftRead) -> Draft | None:
        """Return what was read if it belongs to the open chat and was not returned before."""
        if event.session_id != self._chat.session_id or event.session_id in self._read:
            return None
        self._read.add(event.session_id)
        self._saved[event.session_id] = event.draft or Draft("")
        return event.draft

    def look(self) -> None:
        """Look whether another terminal has sent what is typed here, or dropped it."""
        session_id = self._chat.session_id
        draft = self._saved.get(session_id)
        if draft is not None and _holds(draft) and draft == self._whole(session_id):
            self._host.in_thread(unless_deleted(lambda: self._gone(session_id, draft)))

    def _gone(self, session_id: str | None, draft: Draft) -> Message | None:
        if self._engine.store.draft(session_id) is not None:
            return None
        return messages.DraftGone(session_id, draft, self._is_sent(session_id, draft))

    def check(self, session_id: str | None, draft: Draft) -> None:
        """Raise PhichatError, once, where another terminal has sent this draft; for threads."""
        if draft != self._saved.get(session_id) or self._engine.store.draft(session_id) is not None:
            return
        if self._is_sent(session_id, draft):
            self.forget(session_id)
            raise PhichatError(
                "This message was sent in another window just now; enter sends it here too."
            )

    def forget(self, session_id: str | None) -> None:
        """Count the draft of a session as not stored."""
        self._saved.pop(session_id, None)

    def _is_sent(self, session_id: str | None, draft: Draft) -> bool:
        """Say whether these words came into the store after they were saved as a draft."""
        store, known = self._engine.store, self._known.get(session_id, frozenset())
        if session_id is not None:
            new = [turn for turn in store.tail(session_id, LOOK_AT) if turn.id not in known]
        else:
            ids = [one.id for one in store.sessions(LOOK_AT) if one.id not in known]
            new = [turn for one in ids for turn in store.conversation(one).turns[:1]]
        return any(turn.role is Role.USER and turn.text == draft.text for turn in new)

    def _note_known(self, session_id: str | None) -> None:
        store = self._engine.store
        rows = store.sessions(LOOK_AT) if session_id is None else store.tail(session_id, LOOK_AT)
        self._known[session_id] = frozenset(row.id for row in rows)

    def move_to(self, session_id: str) -> None:
        """Count the draft of the new chat as that of ``session_id``, the id it got."""
        self._read.add(session_id)
        if None in self._read:  # else it is still being read, and stays for the next new chat
            self._to_save[None] = Draft("")
            self._host.in_thread(lambda: self._store(None))

    def close(self) -> dict[str | None, Draft]:
        """Save at the end of the app whatever is not saved yet; return what could not be in time.

        Another program may hold the database for long, and the user leaves now. Where the stored
        draft was never read, what is typed must not replace it: it is among these, too.
        """
        chat = self._chat
        places = dict.fromkeys(chat.queued_drafts())
        if chat.session_id in self._read:
            places[chat.session_id] = None
        drafts = {place: self._whole(place) for place in places}
        for running in chat.runs:
            if (sent := running.unstored(SENDING_S)) is not None:
                place = running.session_id
                drafts[place] = joined(sent, drafts.get(place, self._whole(place)))
        left = {place: one for place, one in drafts.items() if one != self._saved.get(place)}
        here = chat.session_id if chat.is_open else chat.wanted
        unread = {} if here in self._read else {here: self._whole(chat.session_id)}
        thread = threading.Thread(target=self._save_last, args=(left,), daemon=True)
        thread.start()
        thread.join(LEAVING_S)
        return {one: draft for one, draft in (unread | left).items() if _holds(draft)}

    def _save_last(self, left: dict[str | None, Draft]) -> None:
        """Save these drafts, and leave those that could not be."""
        with self._writing:
            self._to_save.clear()
            for place, draft in tuple(left.items()):
                try:
                    self._engine.store.save_draft(place, draft)
                    del left[place]
                except PhichatError:
                    log.info("a draft could not be saved", exc_info=True)  # its words are shown

    def _stored(self, session_id: str | None) -> Draft | None:
        store, draft = self._engine.store, self._engine.store.draft(session_id)
        if draft is not None:
            self._note_known(session_id)
        folder = self._engine.model.settings.data_dir
        for aside, unsaved in read_aside(session_id, folder, self._engine.pictures.open):
            if draft is None or unsaved != draft:
                draft = unsaved if _is_beginning(draft, unsaved) else joined(draft, unsaved)
                store.save_draft(session_id, draft)
            remove(aside)
        return draft

    def _whole(self, session_id: str | None) -> Draft:
        is_open = session_id == self._chat.session_id
        typed = self.typed if is_open else self._chat.left_in(session_id)
        return joined(self._chat.queued_drafts().get(session_id), typed)

    def _store(self, session_id: str | None) -> Message | None:
        with self._writing:
            draft = self._to_save.pop(session_id, None)
            if draft is None or draft == self._saved.get(session_id):
                return None  # it stands there, or another terminal has sent it meanwhile
            before = self._engine.store.changes()
            if _holds(draft):
                self._note_known(session_id)
            self._engine.store.save_draft(session_id, draft)
            self._saved[session_id] = draft
            return messages.DraftSaved(before, self._engine.store.changes())


def _holds(draft: Draft) -> bool:
    return bool(draft.text.strip() or draft.pictures)


def _is_beginning(stored: Draft | None, unsaved: Draft) -> bool:
    """Say whether a draft is the other as it was some keys before: a save that came at last."""
    if stored is None:
        return True
    kept = unsaved.pictures[: len(stored.pictures)]
    return unsaved.text.startswith(stored.text) and kept == stored.pictures
