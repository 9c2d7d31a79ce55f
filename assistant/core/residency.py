"""Index of resident conversations: KV caches within a memory budget.

One index belongs to one loaded model and one kind of KV cache; the regime is
part of every entry. An entry that is evicted from an accelerator goes to host RAM; evicted
from there it is dropped, and prefilled again when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.sequence import Sequence
from assistant.families.runtime import Regime
from assistant.values.prompt import Slot

WORTH_KEEPING = 64
"""Positions below which the end that a new branch would cut off is not worth a copy: a part of
one prefill chunk brings it back."""

COPIES_PER_RETURN = 10
"""Positions that may be copied to keep one that would be cut off. Prefilling a position costs
about 100 times what copying it does (docs/core.md), and one return in ten is assumed."""


@dataclass(eq=False, slots=True)
class Resident:
    """A sequence and the cache that holds its first ``cache.length`` positions."""

    sequence: Sequence
    cache: KVCache
    on_host: bool = False
    """Whether it waits in host RAM, away from the device that computes."""

    def shared_with(self, sequence: Sequence) -> int:
        """Count the cached positions that ``sequence`` begins with too.

        Never its last one, because the logits of that are needed. The count may end inside a
        picture: a prefill that was stopped goes on there.
        """
        same = self.sequence.shared_with(sequence)
        return min(self.sequence.end_of(same), self.cache.length, sequence.length - 1)


class Residency:
    """The resident sequences of one model.

    ``kv_budget`` bytes on the device and ``host_budget`` bytes of host RAM (0 on
    a CPU, where there is only one memory) are for all of them together. The one
    that was used longest ago goes first, the one in use never: how far that may
    grow is for the plan's context to say. ``position_bytes`` is what the KV of
    one position takes.
    """

    def __init__(
        self,
        new_cache: Callable[[Regime], KVCache],
        device: torch.device,
        position_bytes: int,
        kv_budget: int,
        host_budget: int,
    ) -> None:
        self._new_cache = new_cache
        self._device = device
        self._position_bytes = position_bytes
        self._kv_budget = kv_budget
        self._host_budget = host_budget
        self._entries: list[Resident] = []  # the one used longest ago first

    def claim(self, sequence: Sequence, regime: Regime) -> Resident:
        """Return an entry with the longest prefix of ``sequence`` that is cached in its regime.

        The prefix is never all of it, because the last position's logits are needed. If
        cropping would discard a long suffix, the shared prefix is copied into a new entry.
        """
        needed = sequence.length * self._position_bytes
        found, kept = self._longest_prefix(sequence, regime)
        if found is None:
            self._make_room(needed)
            entry = Resident(sequence, self._new_cache(regime))
        elif self._worth_copying(found, kept, needed):
            self._make_room(needed, keep=found)
            entry = Resident(sequence, found.cache.copy(kept).to(self._device))
            self._make_room(needed)  # both may be too much for the device; host RAM takes one
        else:
            self._entries.remove(found)
            self._make_room(needed)
            entry = found
            entry.sequence = sequence
            if entry.cache.nbytes > 2 * needed:
                entry.cache = entry.cache.copy(kept)  # gives back what it no longer needs
            else:
                entry.cache.crop(kept)
            if entry.on_host:
                entry.cache = entry.cache.to(self._device)
                entry.on_host = False
        self._entries.append(entry)
        return entry

    def cached(self, sequence: Sequence, regime: Regime) -> tuple[int, bool]:
        """Return the positions that :meth:`claim` would find, and whether it would cost nothing.

        It would if the end of another conversation were cut off and not kept as a copy.
        """
        found, kept = self._longest_prefix(sequence, regime)
        if found is None or found.cache.length - kept < WORTH_KEEPING:
            return kept, True
        return kept, self._worth_copying(found, kept, sequence.length * self._position_bytes)

    def grew(self, entry: Resident) -> None:
        """Make others give way after ``entry``, the one in use, took more memory."""
        self._make_room(0, keep=entry)

    def forget(self, entry: Resident) -> None:
        """Drop an entry that can't be trusted; harmless when it is gone already."""
        if entry in self._entries:
            self._entries.remove(entry)

    def forget_chat(self, chat: str) -> set[Slot]:
        """Drop all entries of a session; returns the pictures that no other entry has."""
        gone = [one for one in self._entries if one.sequence.chat == chat]
        self._entries = [one for one in self._entries if one not in gone]
        return _pictures_of(gone) - _pictures_of(self._entries)

    def forget_all_but(self, entry: Resident | None) -> None:
        """Give back all memory but that of the sequence in use."""
        self._entries = [one for one in self._entries if one is entry]

    def _longest_prefix(self, sequence: Sequence, regime: Regime) -> tuple[Resident | None, int]:
        """Return the entry that shares most with ``sequence``, and how many positions."""
        # a turn that was stopped at once left nothing
        self._entries = [one for one in self._entries if one.cache.length]
        best: Resident | None = None
        most = 0
        for entry in self._entries:
            if entry.cache.regime != regime:
                continue
            shared = entry.shared_with(sequence)
            if shared and shared >= most:  # of equals the one used last
                best, most = entry, shared
        return best, most

    def _worth_copying(self, found: Resident, kept: int, needed: int) -> bool:
        lost = found.cache.length - kept
        both = found.cache.nbytes + needed
        return (
            lost >= WORTH_KEEPING
            and lost * COPIES_PER_RETURN >= kept
            and both <= self._kv_budget + self._host_budget
        )

    def _make_room(self, needed: int, keep: Resident | None = None) -> None:
        """Move out what was used longest ago until the device has ``needed`` bytes to spare."""
        others = [one for one in self._entries if not one.on_host]
        used = sum(one.cache.nbytes for one in others)
        for entry in others:
            if used + needed <= self._kv_budget:
                return
            if entry is not keep:
                used -= entry.cache.nbytes
                self._move_out(entry)

    def _move_out(self, entry: Resident) -> None:
        """From the device to host RAM, where what was used longest ago is dropped for it."""
        waiting = [one for one in self._entries if one.on_host]
        used = sum(one.cache.nbytes for one in waiting) + entry.cache.nbytes
        for oldest in waiting:
            if used <= self._host_budget:
                break
            used -= oldest.cache.nbytes
            self._entries.remove(oldest)
        at = self._entries.index(entry)
        del self._entries[at]  # what was moved half, because host RAM ran out, is worth nothing
        if used <= self._host_budget:
            entry.cache.to(torch.device("cpu"))
            entry.on_host = True
            self._entries.insert(at, entry)


def _pictures_of(entries: Iterable[Resident]) -> set[Slot]:
    return {unit for one in entries for unit in one.sequence.units if isinstance(unit, Slot)}
