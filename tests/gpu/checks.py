"""Checks one after the other, each with its own seconds; a line of JSON for each."""

from __future__ import annotations

import argparse
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch

Check = Callable[[], Any]


class OutOfTime(BaseException):
    """A check took too long; not an Exception, so that no code under test swallows it."""


@dataclass(frozen=True)
class Given:
    """Arguments of a side."""

    seconds: float
    quick: bool

    @property
    def device(self) -> torch.device:
        """The card; a CPU only to show that everything runs."""
        return torch.device("cpu" if self.quick and not torch.cuda.is_available() else "cuda")


def arguments() -> Given:
    """Read the command line of a side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--quick", action="store_true")
    return Given(**vars(parser.parse_args()))


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTime within, after so many seconds."""

    def ring(_: int, __: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(checks: dict[str, tuple[float, Check]], seconds: float) -> None:
    """Run ``checks``, names with their seconds at most; prints a line for each."""
    started = time.perf_counter()
    for name, (limit, check) in checks.items():
        left = seconds - (time.perf_counter() - started)
        at = time.perf_counter()
        value: Any = {"error": "there was no time left"}
        if left > 2:
            try:
                with limited(min(limit, left)):
                    value = check()
            except OutOfTime:
                value = {"error": f"more than {min(limit, left):.0f} seconds"}
            except Exception as error:  # the others are worth their time all the same
                value = _described(error)
        if isinstance(value, dict):
            value["took_s"] = time.perf_counter() - at
            value["from_s"] = at - started
        print(json.dumps({"name": name, "value": _rounded(value)}), flush=True)


def _described(error: Exception) -> dict[str, Any]:
    """Put an error into a sentence, with the last places that it came through."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = [f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno}" for frame in frames]
    return {"error": f"{type(error).__name__}: {str(error)[:600]}", "places": places}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
