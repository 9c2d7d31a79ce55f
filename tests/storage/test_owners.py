"""Two roles on one PostgreSQL database: each has what a database of its own would hold."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from assistant.values.conversation import Draft, ExportFormat, FinishReason, PictureFile
from assistant.values.errors import PhichatError, SessionNotFoundError, StorageError
from storage import database
from storage.rows import session_row
from storage.schema import Base
from storage.search import hits
from storage.store import Store
from tests.storage.conftest import clear
from tests.storage.postgres_server import PostgresServer
from tests.storage.stored_pictures import make_picture
from tests.tiers import examples

ROLES = ("alice", "bob")
_DOCUMENTED = Path(__file__).parents[2] / "docs" / "postgresql.md"
_NO_ID = "zzzzzzzzzzzz"


@pytest.fixture(scope="module")
def several(postgres: PostgresServer) -> PostgresServer:
    """The database "phichat" of the documentation, made by its own statements, as it says."""
    sql = re.findall("```sql\n(.*?)```", _DOCUMENTED.read_text("utf-8"), re.DOTALL)
    postgres.script(sql[0])
    Store.open(postgres.address("phichat_owner", "phichat")).close()
    return postgres


@pytest.fixture(scope="module")
def own() -> Iterator[dict[str, Store]]:
    """Two separate databases."""
    with ExitStack() as stack:
        yield {role: stack.enter_context(closing(Store.open(":memory:"))) for role in ROLES}


@pytest.fixture(scope="module")
def stores(several: PostgresServer) -> Iterator[dict[str, Store]]:
    with ExitStack() as stack:
        yield {
            role: stack.enter_context(closing(Store.open(several.address(role, "phichat"))))
            for role in ROLES
        }


class User:
    """A role's store, and a database that is this user's alone, which must hold the same."""

    def __init__(self, shared: Store, own: Store) -> None:
        self.stores = (shared, own)
        self.ids: dict[str, str] = {}
        """Ids of sessions and turns in the database of its own, by those in the shared one."""

    def both(self, do: Callable[[Store, str], Any], on: str = "") -> tuple[Any, Any]:
        """Do something with ``on``, an id of the shared database, in both."""
        done = []
        for store, target in zip(self.stores, (on, self.ids.get(on, _NO_ID)), strict=True):
            try:
                done.append(do(store, target))
            except PhichatError as error:
                done.append((type(error), str(error).replace(target or _NO_ID, "ID")))
        return done[0], done[1]

    def look(self) -> tuple[Any, Any]:
        """Everything that this user sees without naming a chat."""
        return self.both(_all_of_it)


def _all_of_it(store: Store, _: str) -> list[Any]:
    latest = store.latest_session()
    draft = store.draft(None)
    hits = [hit for words in ("word", '"a word"', "pict") for hit in store.search(words)]
    with store.reading() as db:
        counts = [
            db.scalar(select(func.count()).select_from(t)) for t in Base.metadata.sorted_tables
        ]
    return [
        [(s.title, s.turns, s.pictures, s.model, s.pinned) for s in store.sessions()],
        latest and store.conversation(latest).title,
        store.models(),
        draft and (draft.text, [p.sha256 for p in draft.pictures]),
        [(h.session_title, h.found_in, h.snippet, round(h.score, 6)) for h in hits],
        [(p.session_title, p.picture.name, p.text, p.reply) for p in store.all_pictures()],
        [_shown_before(store, picture) for picture in PICTURES],
        counts,
    ]


def _shown_before(store: Store, picture: PictureFile) -> Any:
    found = store.shown_before(picture)
    try:
        bytes_of_it = store.picture_data(picture.sha256)
    except StorageError as error:
        bytes_of_it = str(error).encode()
    return found and found.session_title, bytes_of_it, store.thumbnail(picture.sha256)


def _session(store: Store, session: str) -> list[Any]:
    whole = store.conversation(store.find_session(session))
    draft = store.draft(session)
    return [
        whole.title,
        [(t.text, t.role, t.finish_reason, [p.number for p in t.pictures]) for t in whole.turns],
        len(store.all_turns(session)),
        len(store.tail(session, 2)),
        draft and draft.text,
        [h.snippet for h in store.search("word", session_id=session)],
        [store.picture_file(session, p.number).data for p in whole.pictures],
    ]


def _turn(store: Store, turn: str) -> list[Any]:
    found = store.turn(turn)
    store.set_turn_pinned(turn, not found.pinned)
    store.checkpoint_reply(turn, "changed", (1,))
    return [found.text, len(store.siblings(turn)), store.chances(turn)]


def _reply(store: Store, session: str) -> None:
    last = store.conversation(session).turns[-1]
    reply = store.start_reply(session, last.id, model=f"model of {last.text[:3]}")
    store.finish_reply(reply.id, text="A word of a reply", token_ids=(1,), usage=None,
                       finish_reason=FinishReason.STOP, timings=None)  # fmt: skip


PICTURES = [make_picture(name) for name in ("one", "two")]


def _opened(source: bytes | Path, *, name: str | None = None) -> PictureFile:
    """Open one of the pictures, which are no pictures for anything else."""
    return next(one for one in PICTURES if one.data == source)


Step = tuple[str, str, int, int]
_on_one: dict[str, Callable[[Store, str, Draft], Any]] = {
    "reply": lambda store, on, draft: _reply(store, on),
    "rename": lambda store, on, draft: store.rename(on, draft.text),
    "pin": lambda store, on, draft: store.set_pinned(on, True),
    "delete": lambda store, on, draft: store.delete(on),
    "delete for good": lambda store, on, draft: store.delete(on, for_good=True),
    "restore": lambda store, on, draft: store.restore(on),
    "draft": lambda store, on, draft: store.save_draft(on, draft),
    "new draft": lambda store, on, draft: store.save_draft(None, draft),
    "drop new draft": lambda store, on, draft: store.drop_draft(None),
    "purge": lambda store, on, draft: store.purge_deleted(timedelta(0)),
    "recover": lambda store, on, draft: store.recover(),
    "read": lambda store, on, draft: _session(store, on),
}
steps = st.tuples(
    st.sampled_from(ROLES),
    st.sampled_from([*["say", "new"] * 3, "fork", "turn", "share", "import", "import", *_on_one]),
    st.integers(0, 5),
    st.integers(0, 3),
)


class Two:
    """Both users; each step names a chat that either of them may have made."""

    def __init__(self, stores: dict[str, Store], own: dict[str, Store]) -> None:
        self.users = {role: User(stores[role], own[role]) for role in ROLES}
        self.sessions: list[str] = []
        self.turns: list[str] = []
        self.count = itertools.count()

    def take(self, role: str, verb: str, which: int, what: int) -> tuple[Any, Any]:
        user = self.users[role]
        on = self.sessions[which % len(self.sessions)] if self.sessions else _NO_ID
        pictures = tuple(PICTURES[: what % 3])
        draft = Draft(f"{next(self.count)} a word", pictures)
        match verb:
            case "new" | "say":
                to = on if verb == "say" else None
                there, here = user.both(
                    lambda store, id: store.add_user_turn(id if to else None, draft), to or ""
                )
                if isinstance(there[0], str):
                    self._made(user, there[0], here[0])
                    self.turns.append(there[1].id)
                    user.ids[there[1].id] = here[1].id
                    return there[1].text, here[1].text
                return there, here
            case "fork":
                there, here = user.both(lambda store, id: store.fork(id), on)
                if isinstance(there, str):
                    self._made(user, there, here)
                    return None, None
                return there, here
            case "turn":
                turn = self.turns[which % len(self.turns)] if self.turns else _NO_ID
                return user.both(_turn, turn)
            case "share":  # which changes nothing that either sees
                if on in {s.id for s in user.stores[0].sessions()}:
                    user.stores[0].share(on, [one for one in ROLES if one != role])
                return None, None
            case "import":  # with the ids that the other's has
                other = self.users[ROLES[1 - ROLES.index(role)]]
                if on not in {s.id for s in other.stores[0].sessions()}:
                    return None, None
                file = b"".join(
                    piece.encode() for piece in other.stores[0].export([on], ExportFormat.JSON)
                )
                if on in user.ids and user.ids[on] != on:
                    return None, None  # it is this user's own, under other ids there
                there, here = user.both(lambda store, _: store.import_json(file, "file", _opened))
                if not isinstance(there, tuple):
                    self._made(user, on, on)
                    user.ids |= {turn.id: turn.id for turn in user.stores[0].all_turns(on)}
                return there, here
            case _:
                return user.both(lambda store, id: _on_one[verb](store, id, draft), on)

    def _made(self, user: User, there: str, here: str) -> None:
        user.ids[there] = here
        if there not in self.sessions:
            self.sessions.append(there)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(steps, min_size=6, max_size=24))
def test_each_has_what_a_database_of_its_own_would_hold(
    stores: dict[str, Store], own: dict[str, Store], taken: list[Step]
) -> None:
    for store in (*stores.values(), *own.values()):
        clear(store)
    two = Two(stores, own)
    for number, step in enumerate(taken, 1):
        there, here = two.take(*step)
        assert there == here, step
        if number % 4 == 0 or number == len(taken):
            for role, user in two.users.items():
                there, here = user.look()
                assert there == here, (step, role)


def test_the_database_itself_refuses_what_is_another_role_s(stores: dict[str, Store]) -> None:
    alice, bob = stores.values()
    clear(alice)
    clear(bob)
    session, turn = alice.add_user_turn(None, Draft("secret", (PICTURES[0],)))
    with alice.reading() as db:
        key = db.scalar(text("SELECT key FROM sessions"))
        picture = db.scalar(text("SELECT key FROM pictures"))
    columns = "id, session_key, depth, role, text, created"
    for statement in (
        f"INSERT INTO turns ({columns}) VALUES ('x', {key}, 1, 'user', 'mine', now())",
        f"INSERT INTO turns ({columns}, owner) VALUES ('x', {key}, 1, 'user', '', now(), 'alice')",
        f"INSERT INTO drafts (session_key, text, updated) VALUES ({key}, '', now())",
        f"INSERT INTO thumbnails (picture_key, data) VALUES ({picture}, '')",
        "INSERT INTO sessions (id, title, created, updated, pinned, owner) "
        "VALUES ('x', '', now(), now(), false, 'alice')",
        "ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY",
    ):
        with pytest.raises(DBAPIError), bob.engine.begin() as connection:
            connection.execute(text(statement))
    with bob.engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            changed = connection.execute(text(f"UPDATE {table.name} SET owner = 'bob'"))
            removed = connection.execute(text(f"DELETE FROM {table.name}"))
            assert (changed.rowcount, removed.rowcount) == (0, 0), table.name
        assert connection.execute(text("DELETE FROM alembic_version")).rowcount == 0
    assert alice.turn(turn.id).text == "secret"
    assert alice.conversation(session).pictures[0].sha256 == PICTURES[0].sha256


def test_every_table_has_an_owner_and_row_security_in_force(stores: dict[str, Store]) -> None:
    with stores["alice"].reading() as db:
        for table in Base.metadata.sorted_tables:
            forced = db.execute(
                text("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = :t"),
                {"t": table.name},
            ).one()
            assert tuple(forced) == (True, True), table.name
            db.execute(text(f"SELECT owner FROM {table.name}"))


def test_the_vectors_of_the_search_are_read_by_its_function_alone(
    stores: dict[str, Store],
) -> None:
    alice, bob = stores.values()
    clear(alice)
    alice.add_user_turn(None, Draft("secret word", (PICTURES[0],)))
    found = (
        "SELECT count(*) FROM generate_series(0, 2) kind, "
        "phichat_found('alice', kind, :words, NULL, '{}', 9)"
    )
    for words in ("'secret'", "'picture' | 'one':*"):
        with alice.reading() as db:
            assert db.scalar(text(found), {"words": words})
        with bob.reading() as db:
            assert db.scalar(text(found), {"words": words}) == 0
            assert db.scalar(text("SELECT count(*) FROM searched")) == 0
    with bob.engine.begin() as connection:
        assert connection.execute(text("DELETE FROM searched")).rowcount == 0
    with pytest.raises(DBAPIError), bob.engine.begin() as connection:
        connection.execute(text("INSERT INTO searched VALUES (0, 1, 0, 1, 'alice', '')"))


def test_what_a_search_finds_is_looked_up_by_its_key(stores: dict[str, Store]) -> None:
    """A join would read all names of pictures, and ask of each whose it is: a second at 20,000."""
    with stores["alice"].reading() as db:
        given = {"query": "'holiday' <-> '7'", "session": None}
        plan = "\n".join(db.scalars(text(f"EXPLAIN {hits._POSTGRESQL}"), given))
        assert plan.count("Nested Loop") == 3
        assert "Join" not in plan


def test_policies_cost_the_planner_no_subquery(stores: dict[str, Store]) -> None:
    """A subquery is charged to each row: whole tables were read to look up a few keys."""
    with stores["alice"].reading() as db:
        for table in Base.metadata.sorted_tables:
            plan = db.scalars(text(f"EXPLAIN SELECT * FROM {table.name}")).all()
            assert "CURRENT_USER" in "".join(plan)
            assert "SubPlan" not in "".join(plan), table.name


@pytest.fixture
def to_bob(several: PostgresServer, stores: dict[str, Store]) -> Iterator[tuple[Store, str]]:
    """Shared chats as bob sees them, and a chat of alice that is shared."""
    for store in stores.values():
        clear(store)
    session, _ = stores["alice"].add_user_turn(None, Draft("shared word", (PICTURES[0],)))
    _reply(stores["alice"], session)
    stores["alice"].save_draft(session, Draft("unsent"))
    stores["alice"].add_user_turn(None, Draft("secret"))
    stores["alice"].share(session, ["bob"])
    with closing(Store.open(several.address("bob", "phichat"), shared=True)) as store:
        yield store, session


def test_a_shared_chat_is_read_and_no_other(
    to_bob: tuple[Store, str], stores: dict[str, Store], several: PostgresServer
) -> None:
    shared, session = to_bob
    alice, bob = stores.values()
    bob.add_user_turn(None, Draft("bob's own"))
    assert [s.title for s in shared.sessions()] == ["shared word"]
    assert shared.owners() == {session: "alice"}
    assert shared.conversation(session).turns == alice.conversation(session).turns
    assert shared.picture_data(PICTURES[0].sha256) == PICTURES[0].data
    assert shared.draft(session) is None
    assert "unsent" not in "".join(shared.export())
    _reply(alice, session)
    assert len(shared.conversation(session).turns) == 3

    # bob's own database is as if nothing were shared
    assert [s.title for s in bob.sessions()] == ["bob's own"]
    assert [h.session_title for h in bob.search("word")] == []
    assert bob.all_pictures() == []
    with pytest.raises(SessionNotFoundError):
        bob.conversation(session)

    copy = "".join(shared.export([session], ExportFormat.JSON)).encode()
    bob.import_json(copy, "file", _opened)
    assert [s.title for s in shared.sessions()] == ["shared word"]
    _reply(bob, session)
    assert len(alice.conversation(session).turns) == len(shared.conversation(session).turns) == 3

    with closing(Store.open(several.address("phichat_owner", "phichat"), shared=True)) as other:
        assert other.sessions() == []
    alice.delete(session)
    assert shared.sessions() == []
    alice.restore(session)
    alice.unshare(session, ["bob"])
    assert shared.sessions() == []
    assert alice.readers(session) == []


def test_a_shared_chat_is_not_written_to(
    to_bob: tuple[Store, str], stores: dict[str, Store]
) -> None:
    shared, session = to_bob
    turn = shared.conversation(session).turns[-1]
    for change in (
        lambda: shared.add_user_turn(session, Draft("x")),
        lambda: shared.rename(session, "x"),
        lambda: shared.delete(session),
        lambda: shared.save_draft(session, Draft("x")),
    ):
        with pytest.raises(StorageError, match="only be read"):
            change()
    # and the database itself does not let it happen
    with stores["bob"].engine.begin() as connection:
        connection.execute(text("SET LOCAL phichat.shared = 'on'"))
        for table in ("sessions", "turns", "pictures", "session_pictures", "turn_pictures"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            changed = connection.execute(text(f"UPDATE {table} SET owner = owner"))
            removed = connection.execute(text(f"DELETE FROM {table}"))
            assert (changed.rowcount, removed.rowcount) == (0, 0), table
    with pytest.raises(DBAPIError), stores["bob"].engine.begin() as connection:
        connection.execute(
            text("INSERT INTO shares (session_key, reader) SELECT session_key, 'bob' FROM shares")
        )
    assert stores["alice"].turn(turn.id).text == turn.text


def test_a_chat_is_shared_with_users_that_there_are(
    to_bob: tuple[Store, str], stores: dict[str, Store]
) -> None:
    _, session = to_bob
    with pytest.raises(StorageError, match='no user "carol"'):
        stores["alice"].share(session, ["carol"])
    with pytest.raises(StorageError, match="yours already"):
        stores["alice"].share(session, ["alice"])
    with pytest.raises(SessionNotFoundError):
        stores["bob"].share(session, ["alice"])
    stores["alice"].share(session, ["bob", "phichat_owner", "bob"])
    assert stores["alice"].readers(session) == ["bob", "phichat_owner"]
    stores["alice"].unshare(session, [])
    assert stores["alice"].readers(session) == []


def test_a_file_has_no_users(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path / "a.db")) as store:
        session, _ = store.add_user_turn(None, Draft("x"))
        with pytest.raises(StorageError, match="takes PostgreSQL"):
            store.share(session, ["bob"])
    with pytest.raises(StorageError, match="takes PostgreSQL"):
        Store.open(tmp_path / "a.db", shared=True)


def test_the_owner_of_the_tables_reads_no_chat_of_others(
    several: PostgresServer, stores: dict[str, Store]
) -> None:
    stores["alice"].add_user_turn(None, Draft("secret"))
    with closing(Store.open(several.address("phichat_owner", "phichat"))) as store:
        assert store.sessions() == []
        assert store.search("secret") == []
        assert store.latest_session() is None


def test_a_superuser_continues_no_chat_of_others(
    several: PostgresServer, stores: dict[str, Store]
) -> None:
    stores["alice"].add_user_turn(None, Draft("secret"))
    with closing(Store.open(several.address("phichat", "phichat"))) as store:
        assert store.latest_session() is None
        assert store.sessions() == []


def test_chats_are_handed_on_as_the_documentation_says(several: PostgresServer) -> None:
    postgres = several
    address = postgres.database()
    name = address.partition("?")[0].rpartition("/")[2]
    with closing(Store.open(address)) as store:
        session, turn = store.add_user_turn(None, Draft("handed on", (PICTURES[0],)))
        store.save_draft(session, Draft("typed", (PICTURES[1],)))
    sql = re.findall("```sql\n(.*?)```", _DOCUMENTED.read_text("utf-8"), re.DOTALL)
    postgres.say("GRANT ALL ON ALL TABLES IN SCHEMA public TO alice", name)
    postgres.script(sql[1], name)
    with closing(Store.open(address)) as store:
        assert store.sessions() == []
    with closing(Store.open(postgres.address("alice", name))) as store:
        assert store.turn(turn.id).text == "handed on"
        assert [s.title for s in store.sessions()] == ["handed on"]
        draft = store.draft(session)
        assert draft is not None
        assert draft.pictures[0].sha256 == PICTURES[1].sha256


def test_writers_of_different_chats_do_not_wait_for_each_other(
    several: PostgresServer, stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = stores.values()
    held, _ = alice.add_user_turn(None, Draft("held"))
    beside, _ = alice.add_user_turn(None, Draft("beside"))
    with alice.writing() as db:
        session_row(db, held)
        alice.add_user_turn(beside, Draft("the same user's"))
        alice.add_user_turn(None, Draft("a new one"))
        bob.add_user_turn(None, Draft("another user's", (PICTURES[0],)))
        monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
        with pytest.raises(StorageError, match="locked"):
            alice.add_user_turn(held, Draft("waits"))


@pytest.mark.slow
def test_fifty_writers_stream_at_once(several: PostgresServer, stores: dict[str, Store]) -> None:
    """Each in a chat of its own and all of a role in one that they share; nothing is lost."""
    shared = {role: stores[role].add_user_turn(None, Draft("shared"))[0] for role in ROLES}
    text = "a streamed reply " * 20

    def stream(number: int) -> tuple[str, str, str]:
        role = ROLES[number % 2]
        with closing(Store.open(several.address(role, "phichat"))) as store:
            picture = make_picture(f"{number % 5}")
            session, turn = store.add_user_turn(None, Draft(f"chat {number}", (picture,)))
            reply = store.start_reply(session, turn.id, model="demo")
            for end in range(10, len(text), 30):
                store.checkpoint_reply(reply.id, text[:end], range(end))
            store.add_user_turn(shared[role], Draft(f"shared {number}", (picture,)))
            store.finish_reply(reply.id, text=text, token_ids=(1,), usage=None, timings=None,
                               finish_reason=FinishReason.STOP)  # fmt: skip
            return role, session, reply.id

    with ThreadPoolExecutor(50) as pool:
        for role, session, reply in pool.map(stream, range(50)):
            whole = stores[role].conversation(session).turns[-1]
            assert (whole.id, whole.text, whole.finish_reason) == (reply, text, FinishReason.STOP)
    for role in ROLES:
        turns = stores[role].all_turns(shared[role])
        assert len(turns) == 26
        assert sorted(p.number for t in turns for p in t.pictures) == list(range(1, 26))
