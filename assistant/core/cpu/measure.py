"""Measurement of this processor's products in each format of weights, in under two seconds.

Formats are compared by the time that one thread computes, which other programs hardly change, and
choices are made from that. Speeds with all threads are wall clock, and only reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch

from assistant.core.cpu.acceleration import loose_kernels
from assistant.core.cpu.timing import one_thread, timed
from assistant.core.cpu.tower import gain
from assistant.core.formats import TOWER_BESIDE
from assistant.core.kernels import Kernels
from assistant.core.memory.speeds import FormatSpeed
from assistant.core.weights import (
    BFLOAT16_WAYS,
    INT8_WAYS,
    Int8Linear,
    TiledLinear,
    integer_products_are_exact,
)

ROWS, COLUMNS, PROMPT = 1024, 3072, 512
"""A product of a prompt: a piece of a matrix of Phi-3's width and half a chunk of activations. With
half as many rows activations, which every way has to round, would count twice."""

READ = 2**25 * 3
"""Bytes that are read by one row: 96 MiB, more than caches hold."""

SMALL = 8
"""A way is tried on a part of the product first, an eighth each way: one that is fifty times as
slow as another takes no longer than that."""

HOPELESS_S = 0.25
"""Seconds of a product from which on the small trial is believed."""

ONE_THREAD_S, ALL_THREADS_S = 0.6, 0.4
"""Seconds of each half, compilation aside; the best round of each product counts."""

_BYTE = 0x3C
"""A byte that makes an ordinary number in every format."""

Way = tuple[str, str]
"""A format, and one of its ways to multiply many rows."""

WHOLE: Way = ("float32", "")

Key = TypeVar("Key")
Run = Callable[[], object]
Clock = Callable[[], float]


@torch.inference_mode()
def measure() -> dict[str, FormatSpeed]:
    """Measure float32, bfloat16 and int8, of the latter two every way."""
    kernels = loose_kernels()
    held = torch.full((READ,), _BYTE, dtype=torch.uint8)
    prompts, reads = _products(held, kernels), _reads(held, kernels)
    with one_thread():
        seconds = _prompt_seconds(prompts)
    best = _best({"": prompts[WHOLE][1]} | reads, ALL_THREADS_S, time.perf_counter)
    flop_per_s = 2.0 * ROWS * COLUMNS * PROMPT / best[""]
    found = {}
    for name in reads:
        quickest, way = min((s, way) for (of, way), s in seconds.items() if of == name)
        speed = flop_per_s * seconds[WHOLE] / quickest
        found[name] = FormatSpeed(speed, READ / best[name], way, tower_gain(name))
    return found


def tower_gain(name: str) -> float:
    """Measure the format of a vision tower that comes into question beside matrices in ``name``."""
    held = TOWER_BESIDE.get(name)
    return gain(held) if held is not None else 1.0


def _prompt_seconds(prompts: dict[Way, tuple[Run, Run]]) -> dict[Way, float]:
    seconds = {}
    for name, (small, _) in prompts.items():
        small()  # compiled, or prepared by its library
        seconds[name] = timed(small, time.thread_time) * SMALL * SMALL
    quick = {n: run for n, (_, run) in prompts.items() if seconds[n] < HOPELESS_S}
    return seconds | _best(quick, ONE_THREAD_S, time.thread_time)


def _products(held: torch.Tensor, kernels: Kernels | None) -> dict[Way, tuple[Run, Run]]:
    """Return a part of each product, and the whole."""
    x, out = torch.full((PROMPT, COLUMNS), 0.5), torch.empty(PROMPT, ROWS)
    wide = _matrix(held, torch.float32)[:ROWS]
    parts = PROMPT // SMALL, ROWS // SMALL
    few, part = x[: parts[0]], torch.empty(parts)
    found: dict[Way, tuple[Run, Run]] = {
        WHOLE: (
            lambda: torch.mm(few, wide[: parts[1]].t(), out=part),
            lambda: torch.mm(x, wide.t(), out=out),
        )
    }

    def add(name: str, way: str, make: Callable[[torch.Tensor], Any]) -> None:
        matrix = _matrix(held, getattr(torch, name))
        small, whole = make(matrix[: parts[1]]), make(matrix[:ROWS])
        small.kernels = whole.kernels = kernels
        found[name, way] = lambda: small(few, part), lambda: whole(x, out)

    missing = _missing_ways(kernels)
    for way in BFLOAT16_WAYS:
        if way not in missing:
            add("bfloat16", way, partial(TiledLinear, way=way))
    for way in INT8_WAYS:
        if way not in missing:
            add("int8", way, partial(_int8, way))
    return found


def _missing_ways(kernels: Kernels | None) -> set[str]:
    """Return the ways that this processor or these libraries do not have."""
    missing = set() if integer_products_are_exact() else {"terms"}
    if kernels is None:
        return missing | {"pairs", "amx"}
    from assistant.core.cpu import tiles  # numba is here

    return missing if tiles.is_here() else missing | {"amx"}


def _int8(way: str, matrix: torch.Tensor) -> Int8Linear:
    return Int8Linear(matrix, torch.ones(len(matrix)), way)


def _reads(held: torch.Tensor, kernels: Kernels | None) -> dict[str, Run]:
    """Return one row times each matrix, as a token of a reply is computed."""
    x = torch.full((1, COLUMNS), 0.5)

    def product(matrix: torch.Tensor, scales: torch.Tensor | None) -> Run:
        if kernels is not None:
            return lambda: kernels.multiply(matrix, scales, x)
        row = x.to(matrix.dtype)
        return lambda: torch.mm(row, matrix.t())

    found = {}
    for dtype in (torch.float32, torch.bfloat16, torch.int8):
        matrix = _matrix(held, dtype)
        scales = torch.ones(len(matrix)) if dtype == torch.int8 else None
        found[str(dtype).removeprefix("torch.")] = product(matrix, scales)
    return found


def _matrix(held: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return held.view(dtype).view(-1, COLUMNS)


def _best(runs: dict[Key, Run], limit_s: float, clock: Clock) -> dict[Key, float]:
    """Run all in turn until the time is over; return the best seconds of each."""
    for run in runs.values():
        run()
    best, ends = dict.fromkeys(runs, float("inf")), time.perf_counter() + limit_s
    while float("inf") in best.values() or time.perf_counter() < ends:
        for name, run in runs.items():
            best[name] = min(best[name], timed(run, clock))
    return best
