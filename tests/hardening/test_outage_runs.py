"""Twenty outages of each kind, as long as real ones: nothing is lost, nothing doubled."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hardening.outages import Lock, Stopped, Talk, disk, run
from tests.storage.postgres_server import running_server

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

RUNS = 20
STOPPED_S = 10.0
LOCKED_S = 40.0


def lasts(seconds: float) -> Callable[[Talk], None]:
    """Let the reply go on, token by token, until so many seconds are over."""

    def go_on(talk: Talk) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            talk.gate.release()
            time.sleep(0.02)

    return go_on


def test_a_server_that_is_stopped_for_ten_seconds(random_folder: Path) -> None:
    with running_server() as server:
        for number in range(RUNS):
            run(Stopped(server), random_folder, lasts(STOPPED_S))
            print(f"server stopped {number + 1}", flush=True)


def test_a_disk_that_is_filled_and_freed(tmp_path: Path, random_folder: Path) -> None:
    for number in range(RUNS):
        (folder := tmp_path / f"{number}").mkdir()
        with disk(folder) as made:
            run(made, random_folder)
        print(f"disk filled {number + 1}", flush=True)


def test_a_lock_that_is_held_for_forty_seconds(tmp_path: Path, random_folder: Path) -> None:
    run(Lock(tmp_path), random_folder, lasts(LOCKED_S))
