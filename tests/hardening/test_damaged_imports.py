"""Damaged exports: an import takes what it can use in every way, or says one sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from assistant.engine.chances import branch, tokens_of, words_of
from assistant.phi3v.vocabulary import Vocabulary
from assistant.servers.vocabulary import TextVocabulary
from assistant.values.conversation import ExportFormat, Turn
from assistant.values.errors import PhichatError
from storage.store import Store
from tests.hardening.json_damage import damaged, put, written
from tests.storage.conftest import clear
from tests.storage.test_exchange_json import exported, open_picture, write_talk
from tests.trained_tokenizer import write_trained_tokenizer

FEW, MANY = 60, 12_000
BYTES_FEW, BYTES_MANY = 60, 6_000


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """An export that has something of everything."""
    with closing(Store.open(":memory:")) as store:
        write_talk(store)
        document: dict[str, Any] = json.loads(exported(store))
    (session,) = document["sessions"]
    replies = [turn for turn in session["turns"] if turn["role"] == "assistant"]
    replies[0]["chances"] = [[-0.5, [[5, -1.0], [6, -2.0]]]] * 4
    replies[1]["token_ids"] = [10, 20]
    replies[1]["chances"] = [[-0.5, [["a", -1.0]]], None]
    replies[1]["thought"] = {"text": "hmm", "seconds": 3.5}
    first, second = session["pictures"][:2]
    first["origin"] = {"sha256": "0" * 64, "name": "a.pdf", "page": 3, "seconds": 0.0}
    second["region"] = {
        "sha256": first["sha256"], "left": 1, "top": 2, "width": 3, "height": 4, "number": 1,
    }  # fmt: skip
    return document


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(Store.open(tmp_path_factory.mktemp("imports") / "phichat.db")) as opened:
        yield opened


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory: pytest.TempPathFactory) -> list[Vocabulary | TextVocabulary]:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_trained_tokenizer(folder, ("A cat and a dog.", "It"))
    return [Vocabulary.from_folder(folder), TextVocabulary()]


class Attack:
    """Imports into one store; what raises anything but one of our sentences is noted."""

    def __init__(self, store: Store, vocabularies: list[Vocabulary | TextVocabulary]) -> None:
        self.store, self.vocabularies = store, vocabularies
        self.done = self.taken = 0
        self.raw: dict[str, str] = {}

    def tried(self, what: str, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except PhichatError as error:
            if not str(error).isprintable():
                self.raw[what] = repr(error)
        except Exception as error:
            self.raw.setdefault(f"{what}: {type(error).__name__}: {error}"[:120], repr(error)[:500])
        return None

    def import_(self, data: bytes, what: str) -> None:
        def act() -> Any:
            return self.store.import_json(data, "talk.json", open_picture)

        self.done += 1
        if self.tried(f"{what}, import", act) is not None:
            self.taken += 1
            self.use(what)
        clear(self.store)

    def use(self, what: str) -> None:
        """Read, show, search, export and fork whatever was taken."""
        store = self.store
        for session in self.tried(f"{what}, list", store.sessions) or []:
            one = session.id
            for name, act in self.uses(one):
                self.tried(f"{what}, {name}", act)
            for turn in self.tried(f"{what}, turns", lambda one=one: store.all_turns(one)) or []:
                self.tried(f"{what}, chances", lambda turn=turn: self.doubt(turn))
            self.tried(f"{what}, local time", session.updated.astimezone)

    def uses(self, one: str) -> Iterator[tuple[str, Callable[[], Any]]]:
        store = self.store
        yield "conversation", lambda: store.conversation(one)
        yield "draft", lambda: store.draft(one)
        yield "tail", lambda: store.tail(one, 3)
        for form in ExportFormat:
            yield f"export to {form}", lambda form=form: list(store.export([one], form))
        yield "search", lambda: [hit.created.astimezone() for hit in store.search("cat")]
        yield "pictures", lambda: list(store.all_pictures())
        yield "fork", lambda: store.fork(one)

    def doubt(self, turn: Turn) -> None:
        chances = self.store.chances(turn.id)
        if not (chances and turn.token_ids):
            return
        for vocabulary in self.vocabularies:
            tokens = tokens_of(turn.token_ids, chances, vocabulary)
            words_of(tokens)
            for token in tokens:
                for other in token.others:
                    assert 0 <= other.probability <= 1
                    branch(turn.token_ids, chances, token.place, other.id, vocabulary)


def values(attack: Attack, whole: dict[str, Any], count: int, seed: int) -> None:
    """Replace one value, or a second one too."""
    chosen = random.Random(seed)
    every = [one for one in damaged(whole) if one[0]]
    chosen.shuffle(every)
    for number, (place, value) in enumerate(every[:count]):
        document = put(whole, place, value)
        if number % 4 == 3:
            document = put(whole, *chosen.choice(every))
        if (data := written(document)) is not None:
            attack.import_(data, ".".join(map(str, place)))


def cuts(attack: Attack, whole: dict[str, Any], count: int, seed: int) -> None:
    """Damage the bytes of the file: cuts, doublings, other characters."""
    chosen = random.Random(seed)
    text = json.dumps(whole, ensure_ascii=False).encode()
    for number in range(count):
        data = bytearray(text)
        for _ in range(chosen.choice((1, 1, 2, 5))):
            at = chosen.randrange(len(data) + 1)
            piece = data[at : at + chosen.randrange(1, 200)]
            match chosen.randrange(4):
                case 0:
                    data[at : at + 1] = bytes([chosen.choice(b'\x00\x1b"\\{}[]:,0-e\xff\xc3')])
                case 1:
                    data[at:at] = piece
                case 2:
                    del data[at : at + chosen.randrange(1, 60)]
                case _:
                    other = chosen.randrange(len(data) + 1)
                    data[other:other] = piece
        attack.import_(bytes(data), f"cut {number}")


def test_damaged_values_raise_only_sentences(
    store: Store, whole: dict[str, Any], vocabularies: list[Vocabulary | TextVocabulary]
) -> None:
    attack = Attack(store, vocabularies)
    values(attack, whole, FEW, seed=1)
    cuts(attack, whole, BYTES_FEW, seed=1)
    assert attack.taken > 3
    assert not attack.raw


@pytest.mark.long
def test_every_damaged_value_raises_only_sentences(
    store: Store, whole: dict[str, Any], vocabularies: list[Vocabulary | TextVocabulary]
) -> None:
    attack = Attack(store, vocabularies)
    values(attack, whole, MANY, seed=2)
    cuts(attack, whole, BYTES_MANY, seed=2)
    print(attack.done, "imports,", attack.taken, "taken")
    assert attack.done > 5000
    assert not attack.raw
