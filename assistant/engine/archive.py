"""The half of the engine's door that needs no model: what is stored, and what a person marks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.values.conversation import (
    Conversation,
    Draft,
    ExportFormat,
    Imported,
    Parameters,
    Picture,
    PictureFile,
    Role,
    SearchHit,
    SessionSummary,
    Turn,
    TurnKind,
)

if TYPE_CHECKING:
    from storage import Store


class Parent(Enum):
    """Stands for a place in the tree of turns where a turn's id could stand."""

    HEAD = "head"
    """The end of the session's current branch."""


class Archive:
    """Sessions, turns, pictures and drafts as they are stored.

    ``store`` may be a way to open one, which happens on first use: the screen
    is painted before the database library is even imported. Every method
    raises StorageError when the database can't be opened, read or written,
    and SessionNotFoundError for an id that is not there.
    """

    def __init__(self, store: Store | Callable[[], Store]) -> None:
        self._opened: Store | None = None
        self._open: Callable[[], Store] = store if callable(store) else lambda: store
        self._opening = threading.Lock()
        self._looked_at: tuple[object, Conversation] | None = None

    @property
    def _store(self) -> Store:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    # Sessions

    def sessions(self, limit: int = 200, offset: int = 0) -> list[SessionSummary]:
        """Sessions: the pinned first, each group the most recently used first."""
        return self._store.sessions(limit, offset)

    def find_session(self, id_or_prefix: str) -> str:
        """The full id for what a person typed of it."""
        return self._store.find_session(id_or_prefix)

    def latest_session(self) -> str | None:
        """The id of the session used last, or None."""
        return self._store.latest_session()

    def search(
        self, words: str, *, session_id: str | None = None, limit: int = 50
    ) -> list[SearchHit]:
        """Turns, titles and picture names with these words, the best match first."""
        return self._store.search(words, session_id=session_id, limit=limit)

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title."""
        self._store.rename(session_id, title)

    def set_session_pinned(self, session_id: str, pinned: bool) -> None:
        """Keep a session at the top of the list, or no longer."""
        self._store.set_pinned(session_id, pinned)

    def set_system(self, session_id: str, system: str | None) -> None:
        """Tell the model something else before this conversation, or nothing."""
        self._store.set_system(session_id, system)

    def set_model(self, session_id: str, model: str | None) -> None:
        """Note the model that a session is meant for."""
        self._store.set_model(session_id, model)

    def set_parameters(self, session_id: str, parameters: Parameters) -> None:
        """Choose what this session generates with, all of it at once."""
        self._store.set_parameters(session_id, parameters)

    def fork(self, session_id: str, turn_id: str | None = None) -> str:
        """Copy a branch, up to a turn, into a new session; returns its id."""
        return self._store.fork(session_id, turn_id)

    def delete(self, session_id: str, *, for_good: bool = False) -> None:
        """Delete a session; :meth:`restore` brings it back unless it is ``for_good``."""
        self._store.delete(session_id, for_good=for_good)

    def restore(self, session_id: str) -> None:
        """Bring a deleted session back as it was."""
        self._store.restore(session_id)

    # Taking conversations elsewhere, and back (see storage.exchange)

    def export(
        self, session_ids: Sequence[str] | None, format: ExportFormat, *, branches: bool = False
    ) -> Iterator[str]:
        """Sessions (None: all) as pieces of JSON, Markdown or HTML."""
        return self._store.export(session_ids, format, branches=branches)

    def export_to(
        self,
        path: Path,
        session_ids: Sequence[str] | None,
        format: ExportFormat,
        *,
        branches: bool = False,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write sessions (None: all) to a file, or one file each into a folder."""
        return self._store.export_to(
            path, session_ids, format, branches=branches, overwrite=overwrite
        )

    def import_(self, source: Path | bytes, *, copy: bool = False) -> Imported:
        """Import a JSON export (or its bytes) or the logs database of ``llm``: all or nothing."""
        from assistant import pictures

        def open_picture(picture: bytes | Path, name: str | None) -> PictureFile:
            return pictures.open_source(picture, name=name)

        if isinstance(source, bytes):
            return self._store.import_json(source, "standard input", open_picture, copy=copy)
        return self._store.import_file(source, open_picture, copy=copy)

    def backup(self, path: Path, *, overwrite: bool = False) -> None:
        """Copy the live database to a file, consistently."""
        self._store.backup(path, overwrite=overwrite)

    def changes(self) -> str:
        """A token that is another one after anything was stored, here or in another terminal.

        It takes microseconds: ask it often, and read again when it differs.
        """
        return self._store.changes()

    # Turns

    def conversation(self, session_id: str, *, head: str | None = None) -> Conversation:
        """The current branch of a session, or the one that ends with the turn ``head``."""
        return self._store.conversation(session_id, head=head)

    def tail(self, session_id: str, count: int, *, before: str | None = None) -> tuple[Turn, ...]:
        """The last turns of the current branch, or the last ones above the turn ``before``."""
        return self._store.tail(session_id, count, before=before)

    def all_turns(self, session_id: str) -> tuple[Turn, ...]:
        """Every turn of every branch of a session."""
        return self._store.all_turns(session_id)

    def alternatives(self, turn_id: str) -> tuple[Turn, ...]:
        """A turn and its siblings, oldest first: edits of a message, or replies to one."""
        return self._store.siblings(turn_id)

    def choose(self, session_id: str, turn_id: str) -> Conversation:
        """Go to the branch of an alternative, to the newest turn after it."""
        self._store.set_head(session_id, self._store.newest_leaf(turn_id))
        return self._store.conversation(session_id)

    def set_turn_pinned(self, turn_id: str, pinned: bool) -> None:
        """Keep a turn, with its exchange, in what the model sees, or no longer."""
        self._store.set_turn_pinned(turn_id, pinned)

    def set_turn_excluded(self, turn_id: str, excluded: bool) -> None:
        """Take a turn out of what the model sees, or put it back.

        A message takes its reply along; a reply goes alone.
        """
        self._store.set_turn_excluded(turn_id, excluded)

    # Pictures

    def picture_data(self, sha256: str) -> bytes:
        """The original bytes of a stored picture."""
        return self._store.picture_data(sha256)

    def thumbnail(self, sha256: str) -> bytes | None:
        """A small JPEG of a stored picture, or None when it was stored without one."""
        return self._store.thumbnail(sha256)

    def picture_numbers(
        self,
        session_id: str | None,
        pictures: Sequence[PictureFile],
        *,
        parent: str | Parent | None = Parent.HEAD,
    ) -> list[int]:
        """The numbers that these pictures get when they are sent; ``None`` is the new chat.

        Where an earlier version of the message showed one, it keeps its number.
        """
        if session_id is None:
            return list(range(1, len(pictures) + 1))
        return self._store.picture_numbers(session_id, pictures, **place_of(parent))

    def set_picture_pinned(self, session_id: str, number: int, pinned: bool) -> None:
        """Never leave this picture out of what the model sees, or do again."""
        self._store.set_picture_pinned(session_id, number, pinned)

    def set_picture_crops(self, session_id: str, number: int, num_crops: int | None) -> None:
        """Let a picture take so many crops at most; None gives it the default."""
        self._store.set_picture_crops(session_id, number, num_crops)

    # Drafts

    def save_draft(self, session_id: str | None, draft: Draft) -> None:
        """Keep what is typed and not sent yet; ``None`` is the new chat."""
        self._store.save_draft(session_id, draft)

    def draft(self, session_id: str | None) -> Draft | None:
        """What was typed and not sent, or None."""
        return self._store.draft(session_id)

    def draft_of(self, session_id: str, turn_id: str) -> Draft:
        """A stored message as a draft, to be changed and sent again with :meth:`Engine.edit`."""
        turn = self._turn(session_id, turn_id)
        return Draft(turn.text, tuple(map(self._file_of, turn.pictures)))

    def _file_of(self, picture: Picture) -> PictureFile:
        return PictureFile(
            name=picture.name,
            data=self._store.picture_data(picture.sha256),
            sha256=picture.sha256,
            pixels_sha256=picture.pixels_sha256,
            media_type=picture.media_type,
            width=picture.width,
            height=picture.height,
            num_crops=picture.num_crops,
            thumbnail=self._store.thumbnail(picture.sha256),
        )

    def _one(self, turn_id: str) -> Turn:
        """A turn of any session."""
        return next(turn for turn in self._store.siblings(turn_id) if turn.id == turn_id)

    def _turn(self, session_id: str, turn_id: str) -> Turn:
        """A turn of this session; SessionNotFoundError when it is another's."""
        return self._branch(session_id, turn_id).turns[-1]

    def _branch(self, session_id: str, parent: str | Parent | None) -> Conversation:
        """The conversation above a place in the tree."""
        head = parent if isinstance(parent, str) else None
        conversation = self._store.conversation(session_id, head=head)
        return replace(conversation, turns=()) if parent is None else conversation

    def _looked_up(self, session_id: str, parent: str | Parent | None) -> Conversation:
        """As :meth:`_branch`, for what is asked at every key press: read only when it changed."""
        key = (self._store.changes(), session_id, parent)
        held = self._looked_at
        if held is None or held[0] != key:
            held = self._looked_at = (key, self._branch(session_id, parent))
        return held[1]


def place_of(parent: str | Parent | None) -> dict[str, str | None]:
    """The argument by which the store is told what a message follows; none: the head."""
    return {} if isinstance(parent, Parent) else {"parent": parent}


def newest_question(turns: Sequence[Turn]) -> Turn | None:
    """The last message that awaits, or has, a reply."""
    asked = (t for t in reversed(turns) if t.role is Role.USER and t.kind is TurnKind.MESSAGE)
    return next(asked, None)
