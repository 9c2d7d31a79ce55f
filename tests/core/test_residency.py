"""Residency of conversations: reuse, copies, eviction."""

from __future__ import annotations

from functools import partial
from typing import NoReturn

import pytest
import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.formats import KV_BLOCK
from assistant.core.residency import Residency, Resident
from assistant.core.sequence import Sequence
from assistant.phi3v.rope import Regime
from assistant.values.prompt import Prompt, Slot

CPU = torch.device("cpu")
POSITION = 2 * 2 * 8 * 4
"""Bytes of one position: keys and values, 2 heads of 8 numbers in float32."""
SMALL = KV_BLOCK * POSITION
"""The least that a cache takes."""


def residency(kv_budget: int = 2**30, host_budget: int = 0) -> Residency:
    return Residency(partial(KVCache, 1), CPU, POSITION, kv_budget, host_budget)


def sequence(*parts: range | Slot) -> Sequence:
    return Sequence(Prompt(tuple(p if isinstance(p, Slot) else tuple(p) for p in parts)))


def held(entry: Resident) -> torch.Tensor:
    layer = entry.cache.layers[0]
    return layer.keys[0, 0, : layer.length, 0]


def states_of(wanted: Sequence) -> torch.Tensor:
    """A number for each position, made of the unit that takes it."""
    numbers: list[float] = []
    for unit in wanted.units:
        if isinstance(unit, Slot):
            numbers += [-unit.detail - at / 100 for at in range(unit.tokens)]
        else:
            numbers.append(unit)
    return torch.tensor(numbers, dtype=torch.float32)


def converse(index: Residency, wanted: Sequence, regime: Regime = Regime.SHORT) -> int:
    """Claim and prefill; what is cached must be what is wanted. Returns what was reused."""
    entry = index.claim(wanted, regime)
    reused = entry.cache.length
    new = states_of(wanted)[reused:, None].expand(1, 2, -1, 8)
    entry.cache.update(new, new, 0)
    assert torch.equal(held(entry), states_of(wanted))
    index.grew(entry)
    return reused


SYSTEM = range(1, 30)


def test_a_session_that_is_switched_to_and_back_is_not_prefilled_again() -> None:
    index = residency()
    one, other = sequence(SYSTEM, range(100, 300)), sequence(SYSTEM, range(300, 600))
    assert converse(index, one) == 0
    assert converse(index, other) == 29, "the system prompt was copied"
    assert converse(index, one) == one.length - 1
    assert converse(index, other) == other.length - 1


def test_a_chat_that_is_forgotten_takes_the_pictures_that_only_it_has() -> None:
    index = residency()
    shared, own = Slot("shared", 1, 5), Slot("own", 1, 5)
    one, other = (
        sequence(SYSTEM, shared, own, range(100, 300)),
        sequence(SYSTEM, shared, range(300, 600)),
    )
    one.chat, other.chat = "one", "other"
    converse(index, one)
    converse(index, other)
    assert index.forget_chat("one") == {own}
    assert converse(index, other) == other.length - 1
    assert converse(index, one) == 34, "what the other chat has too"
    assert index.forget_chat("nothing") == set()


def test_what_goes_on_is_not_copied() -> None:
    index = residency()
    converse(index, sequence(SYSTEM, range(100, 200)))
    first = index.claim(sequence(SYSTEM, range(100, 200)), Regime.SHORT)
    again = index.claim(sequence(SYSTEM, range(100, 199), range(400, 420)), Regime.SHORT)
    assert again is first, "only a token at the end differs"
    assert again.cache.length == 128


def test_a_short_reply_after_a_long_history_is_cut_off_not_kept() -> None:
    index = residency()
    history, reply = range(1000, 3000), range(100)
    converse(index, sequence(history, reply))
    entry = index.claim(sequence(history), Regime.SHORT)
    assert entry.cache.length == 1999
    assert converse(index, sequence(history, range(50, 150))) == 1999
    assert converse(index, sequence(history, reply)) == 2000, "the first reply is gone"


def test_a_prefix_ends_where_a_picture_starts() -> None:
    index = residency()
    picture, recut = Slot("a", 1, 13), Slot("a", 4, 13)
    converse(index, sequence(range(5), picture, range(10)))
    assert converse(index, sequence(range(5), picture, range(9), range(20))) == 5 + 13 + 9
    assert converse(index, sequence(range(5), recut, range(10))) == 5


def test_a_prefill_that_was_stopped_inside_a_picture_goes_on_there() -> None:
    index = residency()
    wanted = sequence(range(5), Slot("a", 1, 13), range(10))
    entry = index.claim(wanted, Regime.SHORT)
    part = states_of(wanted)[:9, None].expand(1, 2, -1, 8)
    entry.cache.update(part, part, 0)
    assert converse(index, wanted) == 9


def test_regimes_are_kept_apart() -> None:
    index = residency()
    converse(index, sequence(range(100)), Regime.SHORT)
    assert converse(index, sequence(range(100), range(100)), Regime.LONG) == 0
    assert converse(index, sequence(range(100)), Regime.SHORT) == 99, "both are resident"


def test_who_was_used_longest_ago_gives_way() -> None:
    index = residency(kv_budget=2 * SMALL)
    a, b, c = (sequence(range(start, start + 200)) for start in (0, 1000, 2000))
    converse(index, a)
    converse(index, b)
    assert converse(index, a) == 199
    converse(index, c)  # b goes
    assert converse(index, a) == 199
    assert converse(index, b) == 0


def test_room_is_made_before_it_is_taken() -> None:
    index = residency(kv_budget=2 * SMALL)
    converse(index, sequence(range(200)))
    entry = index.claim(sequence(range(1000, 1000 + 2 * KV_BLOCK)), Regime.SHORT)
    assert index._entries == [entry], "nothing is allocated yet, and the other has gone"


def test_the_one_in_use_may_take_all_and_more() -> None:
    index = residency(kv_budget=SMALL)
    converse(index, sequence(range(200)))
    large = sequence(range(1000, 3000))
    assert converse(index, large) == 0
    assert converse(index, large) == 1999
    assert converse(index, sequence(range(200))) == 0


def test_host_memory_takes_what_leaves_the_device_and_gives_it_back() -> None:
    index = residency(kv_budget=SMALL, host_budget=2 * SMALL)
    a, b, c, d = (sequence(range(start, start + 200)) for start in (0, 1000, 2000, 3000))
    for one in (a, b, c):
        converse(index, one)
    assert converse(index, a) == 199, "it waited in host memory"
    converse(index, d)  # b, c, a wait: one too many
    assert converse(index, b) == 0
    assert converse(index, a) == 199


def test_a_copy_and_what_it_was_made_of_share_the_device_only_where_both_fit() -> None:
    index = residency(kv_budget=SMALL, host_budget=SMALL)
    converse(index, sequence(SYSTEM, range(100, 200)))
    entry = index.claim(sequence(SYSTEM, range(300, 400)), Regime.SHORT)
    on_device = [one for one in index._entries if not one.on_host]
    assert on_device == [entry]
    assert len(index._entries) == 2, "the other waits in host memory"


def test_host_memory_that_runs_out_leaves_nothing_half_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exhausted(*_: object) -> NoReturn:
        raise MemoryError

    index = residency(kv_budget=SMALL, host_budget=SMALL)
    a, b = sequence(range(200)), sequence(range(1000, 1200))
    converse(index, a)
    with monkeypatch.context() as full:
        full.setattr(KVCache, "to", exhausted)
        with pytest.raises(MemoryError):
            converse(index, b)
    assert converse(index, b) == 0, "what moved half is gone, and in nobody's way"
    assert converse(index, a) == 0


def test_a_branch_near_the_start_of_a_long_sequence_gives_memory_back() -> None:
    index = residency(kv_budget=10 * SMALL)
    converse(index, sequence(SYSTEM, range(100, 100 + 9 * KV_BLOCK)))
    entry = index.claim(sequence(SYSTEM, range(5000, 5000 + 2 * KV_BLOCK)), Regime.SHORT)
    assert entry.cache.length == 29
    assert entry.cache.nbytes <= SMALL, "both don't fit, so the long one went"


def test_when_memory_is_short_only_the_one_in_use_stays() -> None:
    index = residency()
    a, b = sequence(range(200)), sequence(range(1000, 1200))
    converse(index, a)
    converse(index, b)
    index.forget_all_but(index.claim(b, Regime.SHORT))
    assert converse(index, a) == 0
    assert converse(index, b) > 0
