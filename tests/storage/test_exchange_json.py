"""The JSON format: nothing is lost on the way out and back, and nothing bad comes in."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import BaseModel

from assistant.values.chances import Chance, Chances
from assistant.values.conversation import (
    Draft,
    FinishReason,
    Outcome,
    PictureFile,
    Role,
    Summary,
    Timings,
    TurnKind,
    Usage,
)
from assistant.values.errors import PictureError, SessionNotFoundError, StorageError
from assistant.values.sampling import LATER, PARAMETERS, Parameters
from storage.exchange import document
from storage.ids import new_id
from storage.schema import Base
from storage.store import Store
from tests.storage.conftest import clear
from tests.storage.stored_pictures import make_page, make_part, make_picture


def open_picture(source: bytes | Path, *, name: str | None = None) -> PictureFile:
    """Opens what :func:`make_picture` makes, as :mod:`assistant.pictures` opens real ones."""
    assert isinstance(source, bytes)
    if source.startswith(b"not a picture"):
        raise PictureError("The pasted picture is not a picture that can be opened.")
    return make_picture(source.decode(), name or "pasted.png")


def exported(store: Store, *session_ids: str) -> str:
    return "".join(store.export(session_ids or None))


def imported(store: Store, text: str | bytes, *, copy: bool = False) -> list[Outcome]:
    data = text if isinstance(text, bytes) else text.encode()
    done = store.import_json(data, "talk.json", open_picture, copy=copy)
    return [one.outcome for one in done.sessions]


@pytest.fixture(scope="module")
def _elsewhere(_empty: Path) -> Iterator[Store]:
    with closing(Store.open(shutil.copy(_empty, _empty.with_name("elsewhere.db")))) as store:
        yield store


@pytest.fixture
def elsewhere(_elsewhere: Store) -> Store:
    """Another database, empty."""
    clear(_elsewhere)
    return _elsewhere


@pytest.fixture
def talk(store: Store) -> str:
    return write_talk(store)


@pytest.fixture(scope="module")
def whole() -> str:
    """An export that has something of everything."""
    with closing(Store.open(":memory:")) as store:
        write_talk(store)
        return exported(store)


@pytest.fixture(scope="module")
def blank() -> Iterator[Store]:
    """A database that nothing ever gets into."""
    with closing(Store.open(":memory:")) as store:
        yield store


def write_talk(store: Store) -> str:
    """Store a session that has something of everything; returns its id."""
    cat, dog = make_picture("cat", "cat.png"), make_picture("dog", "dög \u202e.png")
    session, question = store.add_user_turn(
        None,
        Draft("What is this?\n\0 \ud800 \u05d0 😀", (cat, dog)),
        model="demo",
        system="Be brief.",
    )
    reply = store.start_reply(session, question.id, model="demo")
    store.finish_reply(
        reply.id,
        text="A cat\r\nand a dog.",
        token_ids=(1, 32010, 70_000, 4_294_967_295),
        finish_reason=FinishReason.LENGTH,
        usage=Usage(10, 313, 5, 4),
        timings=Timings(0.1, 1 / 3, 12.5),
    )
    again = store.start_reply(session, question.id, model="demo", parameters=Parameters(top_k=3))
    store.finish_reply(
        again.id,
        text="Another answer.",
        token_ids=None,
        finish_reason=FinishReason.STOP,
        usage=None,
        timings=None,
    )
    _, edited = store.add_user_turn(session, Draft("And now?", (dog, cat)), parent=None)
    unfinished = store.start_reply(session, edited.id, model="demo")
    store.checkpoint_reply(unfinished.id, "It", (7,))
    store.set_parameters(session, Parameters(temperature=0.5, seed=2**62, stop=("\n", "</s>")))
    store.set_summary(session, Summary("They spoke of animals.", question.id, edited=True))
    store.set_turn_pinned(question.id, True)
    store.set_turn_excluded(reply.id, True)
    store.set_picture_crops(session, 2, 4)
    store.set_picture_pinned(session, 1, True)
    store.set_pinned(session, True)
    store.save_draft(session, Draft("not sent", (make_picture("bird", "bird.png"),)))
    return session


def test_a_fresh_database_gives_the_same_bytes_again(
    store: Store, elsewhere: Store, talk: str
) -> None:
    first = exported(store)
    assert imported(elsewhere, first) == [Outcome.NEW]
    assert exported(elsewhere) == first
    assert elsewhere.all_turns(talk)[:4] == store.all_turns(talk)[:4]
    draft = elsewhere.draft(talk)
    assert draft is not None
    assert (draft.text, draft.pictures[0].data) == ("not sent", b"bird")
    content = json.loads(first)
    assert content["sessions"][0]["turns"][1]["token_ids"][-1] == 4_294_967_295
    assert len(content["pictures"]) == 3, "each picture's bytes are there once"
    assert content["sessions"][0]["turns"][-1]["finish_reason"] == "interrupted"


def test_nothing_stored_is_missing() -> None:
    """A new column must be exported, or be named here with the reason why not."""
    not_exported = {
        "sessions": {"key", "head_key", "deleted", "title_words"},  # deleted ones stay
        "turns": {"key", "session_key", "parent_key", "depth", "writer", "words"},  # parent by id
        "pictures": {"key", "look"},  # made again from the bytes
        "session_pictures": {"session_key", "picture_key", "name_words"},  # words: made again
        "turn_pictures": {"turn_key", "session_key", "position", "number"},  # a list of numbers
        "drafts": {"key", "session_key"},
        "draft_pictures": {"draft_key", "picture_key", "position"},
        "thumbnails": {"picture_key", "data"},  # made again from the bytes
    }
    parts = {
        "sessions": document.SessionPart,
        "turns": document.TurnPart,
        "pictures": document.PicturePart,
        "session_pictures": document.SessionPicturePart,
        "drafts": document.DraftPart,
        "draft_pictures": document.DraftPicturePart,
    }
    for name, table in Base.metadata.tables.items():
        content = set(parts[name].model_fields) if name in parts else set()
        assert {column.name for column in table.columns} - not_exported[name] <= content, name
    values: tuple[tuple[type, type[BaseModel]], ...] = (
        (Usage, document.UsagePart),
        (Timings, document.TimingsPart),
        (Summary, document.SummaryPart),
    )
    for value, part in values:
        assert {field.name for field in fields(value)} == set(part.model_fields)
        assert list(document.ParametersPart.model_fields) == list(PARAMETERS)


_texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "\u05e9\u05dc\u05d5\u05dd \u202e", "e\u0301 \U0001f600", "\u2028\r\n"]
    ),
)
_moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)).map(
    lambda moment: moment.isoformat()
)
_counts = st.integers(0, 2**31 - 1)
_figures = st.floats(0, allow_infinity=False)
_maybe = partial(st.one_of, st.none())
_parameters = st.fixed_dictionaries(
    {
        "temperature": _maybe(_figures),
        "top_p": _maybe(_figures),
        "top_k": _maybe(_counts),
        "min_p": _maybe(_figures),
        "repetition_penalty": _maybe(_figures),
        "seed": _maybe(st.integers(0, 2**63 - 1)),
        "max_new_tokens": _maybe(_counts),
        "stop": _maybe(st.lists(_texts, max_size=2)),
    }
) | st.just({"temperature": 0.5, "schema": '{"type": "object"}', "thinking": "low"}).map(
    lambda later: dict.fromkeys(PARAMETERS.keys() - LATER) | later
)
_likely = st.sampled_from([0.0, -0.25, -2.0, -1e5])
_less = st.sampled_from([-0.5, -6.0, -60_000.0])
_ids, _tokens = st.integers(0, 2**32 - 1), st.text(max_size=8)
_chances = st.one_of(
    *(
        st.lists(one, max_size=3)
        for one in (
            st.tuples(_likely, st.lists(st.tuples(_ids, _less), max_size=3)),
            st.one_of(
                st.none(), st.tuples(_likely, st.lists(st.tuples(_tokens, _less), max_size=3))
            ),
        )
    )
)
"""Of a model of this machine, and of a server, whose tokens are texts."""
_said = st.fixed_dictionaries(
    {
        "role": st.sampled_from([*Role]),
        "kind": st.sampled_from([*TurnKind]),
        "text": _texts,
        "created": _moments,
        "pinned": st.booleans(),
        "excluded": st.booleans(),
        "token_ids": _maybe(st.lists(st.integers(0, 2**32 - 1), max_size=3)),
        "finish_reason": st.sampled_from([*FinishReason]),
        "model": _maybe(_texts),
        "usage": _maybe(
            st.fixed_dictionaries(dict.fromkeys(document.UsagePart.model_fields, _counts))
        ),
        "timings": _maybe(
            st.fixed_dictionaries(dict.fromkeys(document.TimingsPart.model_fields, _figures))
        ),
        "parameters": _maybe(_parameters),
    },
    optional={
        "thought": st.fixed_dictionaries({"text": _texts, "seconds": _figures}),
        "chances": _chances,
    },
)
_pictures = [make_picture(content) for content in ("a", "b", "c")]
_PICTURES = [
    {
        "sha256": one.sha256,
        "pixels_sha256": one.pixels_sha256,
        "media_type": one.media_type,
        "width": one.width,
        "height": one.height,
        "data": base64.b64encode(one.data).decode(),
    }
    for one in _pictures
]
_shown = st.fixed_dictionaries(
    {
        "name": _texts,
        "sha256": st.sampled_from([one.sha256 for one in _pictures]),
        "num_crops": _maybe(st.integers(1, 64)),
    },
    optional={
        "region": st.fixed_dictionaries(
            {
                "sha256": st.sampled_from(["d" * 64, _pictures[0].sha256]),
                "number": st.just(0),
                **dict.fromkeys(("left", "top"), _counts),
                **dict.fromkeys(("width", "height"), st.integers(1, 2**31 - 1)),
            }
        ),
        "origin": st.fixed_dictionaries(
            {"sha256": st.just("e" * 64), "name": _texts, "page": _counts, "seconds": _figures}
        ),
    },
)
"""Parts, pages and frames among them."""


@st.composite
def _sessions(draw: st.DrawFn) -> dict[str, Any]:
    """A session of any shape: its turns answer any earlier one, in any role."""
    pictures = [
        {"number": number, "pinned": draw(st.booleans()), **draw(_shown)}
        for number in draw(st.sets(st.integers(1, 1_000_000), max_size=3))
    ]
    pictures.sort(key=lambda picture: int(str(picture["number"])))
    for part in pictures:  # some are parts of another one here
        wholes = [one for one in pictures if one is not part and "region" not in one]
        if "region" in part and wholes and draw(st.booleans()):
            whole = draw(st.sampled_from(wholes))
            part["region"] |= {"number": whole["number"], "sha256": whole["sha256"]}
    turns: list[dict[str, Any]] = []
    ids: list[str] = []
    for said in draw(st.lists(_said, max_size=6)):
        numbers = st.sampled_from([picture["number"] for picture in pictures] or [0])
        turns.append(
            {
                "id": new_id(12),
                "parent": draw(st.sampled_from([None, *ids])),
                "pictures": draw(st.lists(numbers, max_size=3)) if pictures else [],
                **said,
            }
        )
        ids.append(turns[-1]["id"])
    # The current branch is what an export calls the end of it.
    head = draw(st.sampled_from(ids)) if ids else None
    upto = draw(st.sampled_from([None, *ids]))
    words = {"text": draw(_texts), "edited": draw(st.booleans())}
    drafted = {"text": draw(_texts), "updated": draw(_moments)}
    return {
        "id": new_id(8),
        "title": draw(_texts),
        "created": draw(_moments),
        "updated": draw(_moments),
        "model": draw(_maybe(_texts)),
        "system": draw(_maybe(_texts)),
        "pinned": draw(st.booleans()),
        "parameters": draw(_parameters),
        "summary": None if upto is None else {"upto": upto, **words},
        "draft": draw(_maybe(st.just(drafted | {"pictures": draw(st.lists(_shown, max_size=2))}))),
        "head": head,
        "pictures": pictures,
        "turns": turns,
    }


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(sessions=st.lists(_sessions(), min_size=1, max_size=3))
def test_any_sessions_make_the_round_trip(
    store: Store, elsewhere: Store, sessions: list[dict[str, Any]]
) -> None:
    """The database then says what the file says, and any further database too."""
    ids = [session["id"] for session in sessions]
    content = json.dumps({"phichat": 1, "sessions": sessions, "pictures": _PICTURES})
    assert imported(store, content) == [Outcome.NEW] * len(ids)
    first = exported(store, *ids)
    wanted = document.parse(content.encode(), "wanted")
    back = document.parse(first.encode(), "back")
    assert {one.id: one for one in back.sessions} == {one.id: one for one in wanted.sessions}
    assert imported(elsewhere, first) == [Outcome.NEW] * len(ids)
    assert exported(elsewhere, *ids) == first
    assert imported(elsewhere, first) == [Outcome.UNCHANGED] * len(ids)
    assert exported(elsewhere, *ids) == first


def test_sessions_are_exported_one_by_one_or_all(store: Store, talk: str) -> None:
    other, _ = store.add_user_turn(None, Draft("other"))
    gone, _ = store.add_user_turn(None, Draft("gone"))
    store.delete(gone)
    assert [one["id"] for one in json.loads(exported(store, other))["sessions"]] == [other]
    assert exported(store, other, talk) == exported(store, talk, other) == exported(store)
    with pytest.raises(SessionNotFoundError):
        exported(store, gone)


def test_an_import_may_go_on_being_talked_to(store: Store, elsewhere: Store, talk: str) -> None:
    imported(elsewhere, exported(store))
    _, turn = elsewhere.add_user_turn(talk, Draft("More", (make_picture("new"),)))
    assert turn.parent == store.conversation(talk).turns[-1].id
    assert turn.pictures[0].number == 3, "numbers go on where the other database stopped"
    tree = {turn.id: turn.parent for turn in elsewhere.all_turns(talk)}
    assert len(tree) == 6


def test_a_changed_session_is_not_overwritten_but_may_be_copied(store: Store, talk: str) -> None:
    before = exported(store)
    store.rename(talk, "Renamed here")
    with pytest.raises(StorageError, match=r"is here already and differs.*--copy") as refused:
        imported(store, before)
    assert refused.value.code == "import"
    assert imported(store, before, copy=True) == [Outcome.COPY]
    ids = [one.id for one in store.sessions()]
    assert len(ids) == 2
    copy = next(one for one in ids if one != talk)
    there, here = store.all_turns(copy), store.all_turns(talk)
    assert {turn.id for turn in there}.isdisjoint(turn.id for turn in here)
    assert [turn.text for turn in there] == [turn.text for turn in here]
    summary = store.conversation(copy).summary
    assert summary is not None
    assert summary.upto == there[0].id


def test_a_deleted_session_is_not_brought_back_silently(store: Store, talk: str) -> None:
    before = exported(store)
    store.delete(talk)
    with pytest.raises(StorageError, match="was deleted here and can still be restored"):
        imported(store, before)
    store.delete(talk, for_good=True)
    assert imported(store, before) == [Outcome.NEW]


def test_a_reply_of_a_file_that_says_no_end_was_interrupted(store: Store, talk: str) -> None:
    """Else it would be being written for ever, and never be found."""
    content = json.loads(exported(store))
    store.delete(talk, for_good=True)
    content["sessions"][0]["turns"][1]["finish_reason"] = None
    assert imported(store, json.dumps(content)) == [Outcome.NEW]
    assert store.all_turns(talk)[1].finish_reason is FinishReason.INTERRUPTED
    assert store.all_turns(talk)[0].finish_reason is None, "a question has none"
    reply = store.all_turns(talk)[1]
    assert reply.id in {hit.turn_id for hit in store.search("and a dog")}
    assert imported(store, json.dumps(content)) == [Outcome.UNCHANGED]


def test_turns_of_another_session_are_not_taken_over(store: Store, talk: str) -> None:
    content = json.loads(exported(store))
    content["sessions"][0]["id"] = "0000000000"
    with pytest.raises(StorageError, match="are here already in another chat"):
        imported(store, json.dumps(content))
    assert imported(store, json.dumps(content), copy=True) == [Outcome.COPY]


def _change(path: list[str | int], value: object) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        if value is _GONE:
            del content[path[-1]]
        else:
            content[path[-1]] = value

    return change


_GONE = object()
_SESSION: list[str | int] = ["sessions", 0]
_TURN: list[str | int] = [*_SESSION, "turns", 1]
_HOSTILE: dict[str, tuple[Callable[[Any], None], str]] = {
    "a later version": (_change(["phichat"], 2), "newer phichat"),
    "no version": (_change(["phichat"], _GONE), "not a phichat export"),
    "the version as text": (_change(["phichat"], "1"), "changed or damaged"),
    "a huge number": (_change([*_TURN, "token_ids"], [10**400]), "token_ids"),
    "a negative id": (_change([*_TURN, "token_ids"], [-1]), "token_ids"),
    "a number that is text": (_change([*_TURN, "token_ids"], ["1"]), "token_ids"),
    "not a number": (_change([*_TURN, "timings", "ttft_s"], float("nan")), "ttft_s"),
    "infinite": (_change([*_TURN, "timings", "ttft_s"], float("inf")), "ttft_s"),
    "a text that is a list": (_change([*_TURN, "text"], ["x"]), "text"),
    "no text": (_change([*_TURN, "text"], _GONE), "text"),
    "a field of nobody": (_change([*_TURN, "\x1b[31mevil"], 1), "evil"),
    "a role of nobody": (_change([*_TURN, "role"], "tool"), "role"),
    "a moment without a zone": (_change([*_TURN, "created"], "2026-01-01T00:00:00"), "created"),
    "a moment beyond time": (
        _change([*_TURN, "created"], "0001-01-01T00:00:00+14:00"),
        "not every calendar",
    ),
    "a last moment": (_change([*_TURN, "created"], "9999-12-31T23:00:00Z"), "not every calendar"),
    "an unknown parent": (_change([*_TURN, "parent"], "000000000000"), "does not come before"),
    "a cycle": (
        lambda content: _change([*_SESSION, "turns", 0, "parent"], content["sessions"][0]["head"])(
            content
        ),
        "does not come before",
    ),
    "a head of nobody": (_change([*_SESSION, "head"], "000000000000"), "current branch"),
    "a summary up to nobody": (_change([*_SESSION, "summary", "upto"], "00000000"), "summary"),
    "an id that is a path": (_change([*_SESSION, "id"], "../../etc"), "id"),
    "an id that is too long": (_change([*_SESSION, "id"], "0" * 33), "id"),
    "the same turn twice": (
        lambda content: content["sessions"][0]["turns"].append(content["sessions"][0]["turns"][0]),
        "twice",
    ),
    "the same session twice": (
        lambda content: content["sessions"].append(content["sessions"][0]),
        "twice",
    ),
    "a picture of nobody": (_change([*_TURN, "pictures"], [99]), "a picture that is not there"),
    "picture number 0": (_change([*_SESSION, "pictures", 0, "number"], 0), "number"),
    "a huge picture number": (_change([*_SESSION, "pictures", 0, "number"], 2**20), "number"),
    "bytes that are gone": (_change(["pictures"], []), "are not there"),
    "other bytes": (_change(["pictures", 0, "data"], "AAAA"), "bytes are not those"),
    "no base64": (_change(["pictures", 0, "data"], "=/=*"), "data"),
    "a hash that is a path": (_change(["pictures", 0, "sha256"], "../" * 21 + "a"), "sha256"),
    "a media type of markup": (_change(["pictures", 0, "media_type"], 'image/x"><b'), "media"),
    "a huge width": (_change(["pictures", 0, "width"], 2**40), "width"),
    "a list of sessions in a list": (_change(["sessions"], [[]]), "sessions"),
}


@pytest.mark.parametrize("kind", _HOSTILE)
def test_a_hostile_file_is_refused_whole(blank: Store, whole: str, kind: str) -> None:
    change, words = _HOSTILE[kind]
    content = json.loads(whole)
    change(content)
    _is_refused(blank, json.dumps(content).encode(), words)


def _is_refused(store: Store, data: bytes, words: str) -> None:
    with pytest.raises(StorageError) as refused:
        imported(store, data)
    message = str(refused.value)
    assert words in message
    assert message.startswith("talk.json ")
    assert message.endswith(".")
    assert message.isprintable(), "one line, and nothing that a terminal obeys"
    assert len(message) < 400
    assert exported(store) == '{"phichat": 1,\n"sessions": [\n],\n"pictures": [\n]}\n'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "damaged or incomplete"),
        (b"\xff\xfe\x00", "not a phichat export"),
        (b'{"phichat": 1, "sessions": [], "pictures": ["\\ud800"]}', "damaged or incomplete"),
        (b"[" * 100_000, "not a phichat export"),
        (b"[]", "not a phichat export"),
        (b'"x"', "not a phichat export"),
        (b"# A chat in Markdown\n", "not a phichat export"),
        (b"<!doctype html>", "not a phichat export"),
        (b"\x89PNG\r\n", "not a phichat export"),
        (b' {"phichat": 1, "ses', "damaged or incomplete"),
        (b'{"messages": []}', "not a phichat export"),
        (b'{"phichat": 99, "chats": {}}', "newer phichat"),
    ],
)
def test_a_foreign_file_is_refused(blank: Store, data: bytes, words: str) -> None:
    _is_refused(blank, data, words)


def test_a_truncated_file_is_refused_wherever_it_is_cut(blank: Store, whole: str) -> None:
    data = whole.encode()
    for end in range(0, len(data) - 2, 197):  # without the last line break it is whole
        _is_refused(blank, data[:end], "damaged or incomplete")


def test_bytes_that_are_no_picture_are_refused(blank: Store, whole: str) -> None:
    content = json.loads(whole)
    data = b"not a picture at all"
    content["pictures"][0] |= {
        "data": base64.b64encode(data).decode(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    content["sessions"][0]["draft"] = None
    for picture in content["sessions"][0]["pictures"]:
        picture["sha256"] = content["pictures"][0]["sha256"]
    with pytest.raises(StorageError, match="can't be opened, so nothing was imported"):
        imported(blank, json.dumps(content))
    assert blank.sessions() == []


def test_a_picture_is_what_it_decodes_to_whatever_the_file_says(
    store: Store, elsewhere: Store, talk: str
) -> None:
    """Else one picture could pass for another that the model has looked at."""
    content = json.loads(exported(store))
    for picture in content["pictures"]:
        picture["pixels_sha256"] = "0" * 64
    imported(elsewhere, json.dumps(content))
    (shown, *_) = elsewhere.all_turns(talk)
    assert shown.pictures == store.all_turns(talk)[0].pictures


def test_nothing_of_a_file_stays_when_its_last_session_is_refused(
    store: Store, elsewhere: Store, talk: str
) -> None:
    second, _ = store.add_user_turn(None, Draft("second"))
    both = exported(store)
    imported(elsewhere, exported(store, second))
    elsewhere.rename(second, "changed")
    with pytest.raises(StorageError, match="differs"):
        imported(elsewhere, both)
    assert [one.id for one in elsewhere.sessions()] == [second]
    assert list(elsewhere.engine.connect().exec_driver_sql("SELECT * FROM pictures")) == []


def test_parts_keep_their_place_and_their_picture_for_ever(
    store: Store, elsewhere: Store, tmp_path: Path
) -> None:
    whole = make_picture("whole", "photo.png")
    session, _ = store.add_user_turn(None, Draft("see", (whole, make_part(whole))))
    store.save_draft(session, Draft("and", (make_part(whole, 30),)))
    first = exported(store)
    assert imported(elsewhere, first) == [Outcome.NEW]
    assert exported(elsewhere) == first
    assert elsewhere.conversation(session).pictures == store.conversation(session).pictures
    assert elsewhere.draft(session) == store.draft(session)


def test_pages_keep_their_document_and_older_exports_have_none(
    store: Store, elsewhere: Store
) -> None:
    session, _ = store.add_user_turn(None, Draft("see", (make_page(2), make_part(make_page(2)))))
    store.save_draft(session, Draft("and", (make_page(3),)))
    first = exported(store)
    assert imported(elsewhere, first) == [Outcome.NEW]
    assert exported(elsewhere) == first
    assert elsewhere.conversation(session).pictures == store.conversation(session).pictures
    assert elsewhere.draft(session) == store.draft(session)
    clear(store)
    store.add_user_turn(None, Draft("see", (make_picture("photo"),)))
    assert "origin" not in exported(store)


@pytest.mark.parametrize("change", [{"page": -1}, {"seconds": -0.5}, {"name": 3}, {"sha256": "x"}])
def test_a_page_of_nothing_is_refused(store: Store, change: dict[str, object]) -> None:
    store.add_user_turn(None, Draft("see", (make_page(2),)))
    content = json.loads(exported(store))
    clear(store)
    content["sessions"][0]["pictures"][0]["origin"] |= change
    with pytest.raises(StorageError, match="was changed or damaged"):
        imported(store, json.dumps(content))


@pytest.mark.parametrize(
    "change", [{"number": 3}, {"number": 2}, {"left": -1}, {"width": 0}, {"sha256": "x"}]
)
def test_a_part_of_what_is_not_there_is_refused(store: Store, change: dict[str, object]) -> None:
    whole = make_picture("whole")
    store.add_user_turn(None, Draft("see", (whole, make_part(whole))))
    content = json.loads(exported(store))
    clear(store)
    content["sessions"][0]["pictures"][1]["region"] |= change
    with pytest.raises(StorageError, match="was changed or damaged"):
        imported(store, json.dumps(content))


OF_IDS = (Chance(-0.25, ((5, -2.0), (70_000, -3.5))), Chance(-1e5, ()), Chance(0.0))
OF_TEXTS = (Chance(-0.25, ((" größer", -2.0), ("", -3.5), ("\0🟥", -4.0))), None, Chance(-1e5))


@pytest.mark.parametrize("number", [1e308, -1e308, 70_000.0, 2.0])
@pytest.mark.parametrize("place", ["own", "other"])
def test_a_chance_that_is_no_logarithm_is_refused(
    store: Store, blank: Store, talk: str, place: str, number: float
) -> None:
    content = json.loads(exported(store, talk))
    own, other = (number, -1.0) if place == "own" else (-1.0, number)
    content["sessions"][0]["turns"][1]["chances"] = [[own, [["a", other]]]]
    with pytest.raises(StorageError, match="was changed or damaged"):
        imported(blank, json.dumps(content))


@pytest.mark.parametrize("chances", [OF_IDS, OF_TEXTS])
def test_chances_are_kept_exported_and_copied(
    store: Store, elsewhere: Store, chances: Chances
) -> None:
    session, question = store.add_user_turn(None, Draft("What?"))
    reply = store.start_reply(session, question.id, model="demo")
    store.finish_reply(
        reply.id,
        text="A cat.",
        token_ids=(1, 2, 3),
        finish_reason=FinishReason.STOP,
        usage=None,
        timings=None,
        chances=chances,
    )
    assert store.chances(reply.id) == chances
    assert store.chances(question.id) is None
    first = exported(store)
    assert imported(elsewhere, first) == [Outcome.NEW]
    assert exported(elsewhere) == first
    assert elsewhere.chances(reply.id) == chances
    forked = store.conversation(store.fork(session)).turns[-1]
    assert store.chances(forked.id) == chances
