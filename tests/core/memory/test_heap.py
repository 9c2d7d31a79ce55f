"""Memory that the C library keeps: it goes back to the system."""

from __future__ import annotations

import psutil
import pytest

from assistant.core.memory import heap
from assistant.core.memory.heap import Heap

BLOCK = 60_000
"""Bytes that glibc takes from its heap: it maps larger ones, which go back by themselves."""
BLOCKS = 3000


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.skipif(heap._malloc_trim() is None, reason="this C library is not glibc")
def test_freed_blocks_between_others_go_back_to_the_system() -> None:
    blocks = [bytearray(b"x") * BLOCK for _ in range(BLOCKS)]
    tidied = Heap()
    tidied.tidy()
    del blocks[::2]
    full = resident()
    grown = [bytearray(b"x") * (BLOCK + 4096) for _ in range(BLOCKS // 3)]
    assert resident() > full + heap.SLACK, "blocks of another size found no place"
    tidied.tidy()
    assert resident() < full
    assert grown


def test_a_library_without_that_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    heap._malloc_trim.cache_clear()
    Heap().tidy()
    assert heap._malloc_trim() is None
    heap._malloc_trim.cache_clear()
