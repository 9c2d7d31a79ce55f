"""Start and end of a shared worker: once for many, by itself, and again after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from assistant.values.errors import ModelError
from assistant.values.events import Phase
from assistant.values.generation import TokensGenerated
from assistant.values.sampling import Sampling
from assistant.worker.client import LocalCore
from assistant.worker.shared_workers import shared_workers
from tests.conftest import ROOT
from tests.wait import wait_until
from tests.worker.terminals import (
    PROMPT,
    Terminal,
    answer,
    ids,
    picture,
    pixels,
    runs,
    worker_pid,
)

Make = Callable[..., LocalCore]


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def make(random_folder: Path, runtime: Path, tmp_path: Path) -> Iterator[Make]:
    """Makes terminals of one kind; when they are closed, no worker is left."""
    cores = []

    def core(**changes: object) -> LocalCore:
        given = {
            "dtype": "float32", "context": 2048, "threads": 1, "runtime": runtime,
            "log": tmp_path / "worker.log",
        }  # fmt: skip
        cores.append(LocalCore(str(random_folder), **(given | changes)))  # type: ignore[arg-type]
        return cores[-1]

    yield core
    pids = [core._link.pid for core in cores if core._link is not None]
    for one in cores:
        one.close()
    wait_until(lambda: not any(runs(pid) for pid in pids if pid is not None))


def log(tmp_path: Path) -> str:
    return (tmp_path / "worker.log").read_text()


@pytest.mark.slow
def test_many_start_one_and_one_again_after_a_crash(make: Make, tmp_path: Path) -> None:
    """Terminals come at once; the worker is killed while two of them wait for replies."""
    cores = [make() for _ in range(5)]
    at_once = threading.Barrier(len(cores))

    def come(core: LocalCore) -> list[int]:
        at_once.wait()
        return ids(answer(core))

    with ThreadPoolExecutor(len(cores)) as threads:
        (want, *others) = threads.map(come, cores)
        assert all(got == want for got in others)
        (pid,) = {worker_pid(core) for core in cores}

        streams = [core.generate(PROMPT, Sampling(max_new_tokens=1900), pixels) for core in cores]
        next(event for event in streams[0] if isinstance(event, TokensGenerated))
        next(streams[1])  # it waits, in the queue
        os.kill(pid, signal.SIGKILL)
        for stream in streams[:2]:
            with pytest.raises(ModelError, match="ended unexpectedly") as crash:
                list(stream)
            assert crash.value.code == "crashed"
        wait_until(lambda: all(core.status().phase is Phase.FAILED for core in cores))

        assert list(threads.map(come, cores)) == [want] * len(cores)
    (again,) = {worker_pid(core) for core in cores}
    assert again != pid
    assert log(tmp_path).count("a shared worker") == 2


def test_a_folder_that_is_not_safe_means_a_worker_of_ones_own(
    make: Make, runtime: Path, tmp_path: Path
) -> None:
    runtime.mkdir()
    runtime.chmod(0o777)
    core = make()
    core.preload()
    pid = worker_pid(core)
    assert core._link is not None
    assert not core._link.shared
    assert "can be written by others" in log(tmp_path)
    core.close()
    wait_until(lambda: not runs(pid))
    assert list(runtime.iterdir()) == []


@pytest.mark.long
def test_eight_processes_start_one(random_folder: Path, runtime: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from assistant.values.prompt import Prompt\n"
        "from assistant.values.sampling import Sampling\n"
        "from assistant.worker.client import LocalCore\n"
        f"core = LocalCore({str(random_folder)!r}, threads=1, runtime=Path({str(runtime)!r}))\n"
        "sys.stdin.readline()\n"
        "list(core.generate(Prompt(((1, 5, 6, 7),)), Sampling(max_new_tokens=3), print))\n"
        "print(core._link.pid, core._link.shared, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with ExitStack() as stack:
        terminals = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=ROOT,
                    text=True,
                )
            )
            for _ in range(8)
        ]
        said = set()
        for terminal in terminals:
            assert terminal.stdin is not None
            terminal.stdin.write("begin\n")
            terminal.stdin.flush()
        for terminal in terminals:
            assert terminal.stdout is not None
            said.add(terminal.stdout.readline())
    (line,) = said
    pid, shared = line.split()
    assert shared == "True"
    wait_until(lambda: not runs(int(pid)))


@pytest.mark.long
def test_it_outlives_who_started_it_and_ends_when_idle(
    make: Make, random_folder: Path, runtime: Path, tmp_path: Path
) -> None:
    code = (
        "import time\n"
        "from pathlib import Path\n"
        "from assistant.worker.client import LocalCore\n"
        f"core = LocalCore({str(random_folder)!r}, dtype='float32', context=2048, threads=1,\n"
        f"    runtime=Path({str(runtime)!r}), log=Path({str(tmp_path / 'worker.log')!r}))\n"
        "core.preload()\n"
        "while core._link.pid is None: time.sleep(0.02)\n"
        "print(core._link.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    other = make(keep_alive=1)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        other.preload()
        assert worker_pid(other) == pid
        starter.kill()
        starter.wait()
    assert len(ids(answer(other))) == 8
    other.close()
    wait_until(lambda: not runs(pid))
    assert "nobody has used it for 1 s" in log(tmp_path)
    assert sorted(path.name for path in runtime.iterdir()) == ["lock"]


@pytest.mark.long
def test_a_worker_in_waiting_serves_the_next_terminal(make: Make, runtime: Path) -> None:
    one, two = make(keep_alive=600), make()
    answer(one)
    pid = worker_pid(one)
    one.close()
    wait_until(lambda: shared_workers(runtime)[0].clients == 0)
    assert len(ids(answer(two))) == 8
    assert worker_pid(two) == pid


@pytest.mark.long
def test_other_settings_are_another_worker(make: Make, runtime: Path) -> None:
    one, two = make(), make(context=1024)
    one.preload()
    two.preload()
    assert worker_pid(one) != worker_pid(two)
    assert {about.pid for about in shared_workers(runtime)} == {worker_pid(one), worker_pid(two)}
    assert {about.spec["context"] for about in shared_workers(runtime)} == {1024, 2048}


@pytest.mark.long
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_who_can_not_be_found_ends_with_its_last_client(
    how: str, make: Make, runtime: Path, tmp_path: Path
) -> None:
    one = make(keep_alive=600)
    answer(one)
    pid = worker_pid(one)
    for path in list(runtime.iterdir()):
        path.unlink()
    if how == "removed":
        runtime.rmdir()
    two = make()
    answer(two)
    assert worker_pid(two) != pid
    assert len(ids(answer(one))) == 8, "who is there is served"
    one.close()
    wait_until(lambda: not runs(pid))
    assert len(ids(answer(two))) == 8, "the other's socket is still there"
    assert len(shared_workers(runtime)) == 1


@pytest.mark.long
def test_it_ends_on_a_signal(make: Make, runtime: Path, tmp_path: Path) -> None:
    core = make(keep_alive=600)
    events = core.generate(PROMPT, Sampling(max_new_tokens=1900), pixels)
    next(event for event in events if isinstance(event, TokensGenerated))
    os.kill(worker_pid(core), signal.SIGTERM)
    with pytest.raises(ModelError, match="ended unexpectedly"):
        list(events)
    assert sorted(path.name for path in runtime.iterdir()) == ["lock"]
    assert "it was told to (SIGTERM)" in log(tmp_path)


@pytest.mark.parametrize("when", ["sent", pytest.param("heard", marks=pytest.mark.long)])
def test_a_request_that_meets_an_ending_worker_is_answered_by_another(
    when: str, make: Make, runtime: Path, tmp_path: Path
) -> None:
    """A request that a worker got or not, but gave nothing for; another terminal keeps it busy."""
    core = make()
    want = ids(answer(core))
    pid = worker_pid(core)
    with Terminal(runtime) as busy:
        busy.ask(1, picture("busy"))
        busy.hear("pixels_wanted")
        if when == "sent":  # it has not read what it gets when it hears that it is to end
            os.kill(pid, signal.SIGSTOP)
        stream = core.generate(PROMPT, Sampling(max_new_tokens=8), pixels)
        with ThreadPoolExecutor(1) as threads:
            got = threads.submit(list, stream)
            if when == "sent":
                wait_until(lambda: core._running is not None)
            else:
                wait_until(lambda: shared_workers(runtime)[0].requests == 2)
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
            assert ids(got.result()) == want
    assert worker_pid(core) != pid
    assert core.status().phase is Phase.READY
    assert log(tmp_path).count("a shared worker") == 2


@pytest.mark.long
def test_all_who_wait_see_the_loading(make: Make) -> None:
    one, two = make(), make()
    one.preload()
    seen = [event for event in answer(two) if getattr(event, "stage", "") == "loading"]
    assert worker_pid(one) == worker_pid(two)
    known = [event for event in seen if getattr(event, "total", 0)]
    assert known, "the bytes that are to be read are known at some point"
    assert one.status().phase is Phase.READY


@pytest.mark.long
def test_a_stopped_terminal_is_left_behind_after_a_while(make: Make, runtime: Path) -> None:
    """The lock's holder hangs: others take a worker of their own instead of waiting for ever."""
    from assistant.worker.rendezvous import Rendezvous

    with Rendezvous(runtime, "any").locked():
        core = make()
        assert len(ids(answer(core))) == 8
        assert core._link is not None
        assert not core._link.shared
