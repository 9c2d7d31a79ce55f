"""Eight processes that write to one database at once."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.values.conversation import Draft, FinishReason
from storage.store import Store
from tests.storage.stored_pictures import make_picture
from tests.storage.test_kills import check_whole
from tests.storage.victims import Say, Victim

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and forks")

PROCESSES = 8


def _talk(location: str, shared: str, me: int, seconds: float) -> Callable[[Say], None]:
    """Send to the session that all share and to one's own, and answer there, without a pause."""

    def program(say: Say) -> None:
        chance = random.Random(me)
        store = Store.open(location)
        own: str | None = None
        end = time.monotonic() + seconds
        step = 0
        while time.monotonic() < end:
            step += 1
            picture = (make_picture(f"{step % 10}"),) if chance.random() < 0.3 else ()
            _, turn = store.add_user_turn(shared, Draft(f"{me} {step}", picture))
            say("shared", turn=turn.id, text=turn.text, numbers=[p.number for p in turn.pictures])
            own, turn = store.add_user_turn(own, Draft(f"own {step}"))
            reply = store.start_reply(own, turn.id, model="demo")
            store.checkpoint_reply(reply.id, "half", (1,))
            store.finish_reply(
                reply.id,
                text=f"reply {step}",
                token_ids=(1, 2),
                finish_reason=FinishReason.STOP,
                usage=None,
                timings=None,
            )
            say("own", session=own, texts=[turn.text, f"reply {step}"])
            store.rename(shared, f"{me} {step}")
            store.set_turn_pinned(turn.id, True)
            store.save_draft(own, Draft(f"{step}"))
            store.sessions(limit=10)
            store.search(f"{step}", limit=5)

    return program


def write_together(store: Store, location: str, folder: Path, seconds: float) -> int:
    """Count the turns that eight processes stored in this time, all of them there and in order."""
    shared, _ = store.add_user_turn(None, Draft("start"))
    recalled = store.add_recall_turn(shared, "nobody has this one in hand")
    processes = [
        Victim(_talk(location, shared, me, seconds), folder / f"notes-{me}")
        for me in range(PROCESSES)
    ]
    said = [process.said() for process in processes]

    turns = store.all_turns(shared)
    numbers: dict[int, str] = {}
    for turn in turns:
        for picture in turn.pictures:
            assert numbers.setdefault(picture.number, picture.sha256) == picture.sha256
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    ids = {turn.id for turn in turns}
    assert all(turn.parent in ids for turn in turns[1:])
    assert turns[1] == recalled
    by_text = {turn.text: turn for turn in turns}
    stored = 0
    for me, one in enumerate(said):
        mine = [each.values for each in one if each.what == "shared"]
        assert [t.text for t in turns if t.text.startswith(f"{me} ")] == [v["text"] for v in mine]
        for values in mine:
            assert by_text[values["text"]].id == values["turn"]
            assert [p.number for p in by_text[values["text"]].pictures] == values["numbers"]
        owned = [each.values for each in one if each.what == "own"]
        assert len({v["session"] for v in owned}) == 1
        texts = [text for values in owned for text in values["texts"]]
        assert [t.text for t in store.conversation(owned[0]["session"]).turns] == texts
        stored += len(mine) + len(texts)
    return stored


def test_eight_processes_write_at_once_and_lose_nothing(
    store: Store, location: Path, tmp_path: Path
) -> None:
    assert write_together(store, str(location), tmp_path, seconds=2) >= PROCESSES * 3
    check_whole(location)


@pytest.mark.long
def test_eight_processes_write_for_a_minute_and_lose_nothing(
    store: Store, address: str, tmp_path: Path, backend: str
) -> None:
    stored = write_together(store, address, tmp_path, seconds=60)
    print(f"{stored} turns were stored by {PROCESSES} processes in a minute")
    if backend == "sqlite":
        check_whole(Path(address))
