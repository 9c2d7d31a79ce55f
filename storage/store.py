"""The store: every operation on the database as a method of one class."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from assistant.values.errors import DiskFullError, ReadOnlyError, StorageError
from storage import (
    branches,
    database,
    drafts,
    leases,
    picture_places,
    pictures,
    replies,
    sessions as session_functions,
    shares,
    turns,
)
from storage.exchange import backup as backups, export_files, import_files
from storage.search import hits
from storage.transactions import Transactions, looks, reads, writes

_PURGED_AFTER = timedelta(days=1)
"""Time for which a deleted session can be restored: until the first start after it."""


class Store(Transactions):
    """Sessions, turns, pictures and drafts in one database.

    Thread-safe. Every method is one short transaction, unless it says otherwise, and its changes
    are on disk when it returns. Every method raises StorageError, one plain sentence, when the
    database can't be read or written; methods that take the id of a session or turn raise
    SessionNotFoundError when there is none. All moments are timezone-aware UTC.
    """

    @classmethod
    def open(cls, location: str | Path, *, shared: bool = False) -> Store:
        """Open or create the database at a path, a database URL or ``":memory:"``.

        Migrates an older database (or leaves it as it was, if that fails), marks replies that a
        dead process left behind and purges sessions deleted more than a day ago. Raises
        StorageError.

        ``shared``: the sessions that other users of the database share with this one, to be read.
        """
        store = cls(*database.open_engine(location))
        if shared:
            try:
                return store.of_others()
            except StorageError:
                store.close()
                raise
        try:
            with suppress(DiskFullError, ReadOnlyError):  # what is stored can be read
                store.recover()
                store.purge_deleted(_PURGED_AFTER)
        except BaseException:
            store.close()
            raise
        return store

    def of_others(self) -> Store:
        """Return the sessions that other users share with this one, on the same connections.

        They can be read. Raises StorageError where the database has no users.
        """
        if self.engine.dialect.name == "sqlite":
            raise StorageError(shares.NO_USERS)
        return type(self)(self.engine.execution_options(**database.SHARED), self._where)

    sessions = reads(session_functions.summaries)
    find_session = reads(session_functions.find)
    latest_session = reads(session_functions.latest)
    models = reads(session_functions.models)
    rename = writes(session_functions.rename)
    set_pinned = writes(session_functions.set_pinned)
    set_model = writes(session_functions.set_model)
    set_system = writes(session_functions.set_system)
    set_parameters = writes(session_functions.set_parameters)
    set_summary = writes(session_functions.set_summary)
    delete = writes(session_functions.delete)
    restore = writes(session_functions.restore)
    purge_deleted = session_functions.purge_deleted

    share = writes(shares.share)
    unshare = writes(shares.unshare)
    readers = reads(shares.readers)
    owners = reads(shares.owners)

    conversation = reads(turns.conversation)
    all_turns = reads(turns.all_turns)
    turn = reads(turns.turn)
    add_user_turn = writes(turns.add_user_turn)
    add_recall_turn = writes(turns.add_recall_turn)
    picture_numbers = reads(turns.picture_numbers)
    set_turn_pinned = writes(turns.set_pinned)
    set_turn_excluded = writes(turns.set_excluded)

    tail = reads(branches.tail)
    siblings = reads(branches.siblings)
    newest_leaf = reads(branches.newest_leaf)
    set_head = writes(branches.set_head)
    choose = writes(branches.choose)
    fork = writes(branches.fork)

    start_reply = writes(replies.start)
    reopen_reply = writes(replies.reopen)
    checkpoint_reply = writes(replies.checkpoint)
    finish_reply = writes(replies.finish)
    chances = reads(replies.chances)
    recover = replies.recover
    give_up_reply = staticmethod(leases.give_up)

    picture_data = reads(pictures.data)
    thumbnail = reads(pictures.thumbnail)
    all_pictures = reads(picture_places.shown)
    shown_before = reads(picture_places.shown_before)
    picture_file = reads(picture_places.file)
    set_picture_crops = writes(pictures.set_crops)
    set_picture_pinned = writes(pictures.set_pinned)

    save_draft = writes(drafts.save)
    draft = reads(drafts.read)
    draft_of = reads(drafts.of_turn)
    drop_draft = writes(drafts.drop)

    search = looks(hits.search)

    export = export_files.export
    export_to = export_files.export_to
    export_as = export_files.export_as
    import_file = import_files.import_file
    import_json = import_files.import_json
    backup = backups.backup
