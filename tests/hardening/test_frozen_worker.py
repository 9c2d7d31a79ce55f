"""Workers that are stopped (SIGSTOP): nothing waits for them for long, and all of it says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from assistant.settings.load import load as load_settings
from assistant.values.errors import ModelError
from assistant.values.events import Phase
from assistant.values.generation import TokensGenerated
from assistant.values.model import CoreEvent
from assistant.values.sampling import Sampling
from assistant.worker import link as linking
from assistant.worker.client import LocalCore
from assistant.worker.launch import launch
from assistant.worker.link import ALONE, FROZEN
from assistant.worker.processes import is_stopped
from tests.conftest import ROOT
from tests.wait import wait_until
from tests.worker.terminals import PROMPT, answer, ids, pixels, runs, worker_pid

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

MakeCore = Callable[..., LocalCore]


@pytest.fixture
def terminal(random_folder: Path) -> Iterator[MakeCore]:
    """Make the core of a terminal, whose worker is killed at the end, stopped or not."""
    made: list[LocalCore] = []

    def make(runtime: Path | None = None) -> LocalCore:
        made.append(LocalCore(str(random_folder), runtime=runtime, threads=1))
        return made[-1]

    yield make
    for core in made:
        if core._link is not None and core._link.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(core._link.pid, signal.SIGKILL)
        core.close()


class Reply:
    """A long reply in a thread, as soon as its first token is there."""

    def __init__(self, core: LocalCore) -> None:
        self.events: list[CoreEvent] = []
        self.error: ModelError | None = None
        self._core = core
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_until(lambda: any(isinstance(one, TokensGenerated) for one in self.events), "a token")

    def _run(self) -> None:
        try:
            for one in self._core.generate(PROMPT, Sampling(max_new_tokens=100_000), pixels):
                self.events.append(one)
        except ModelError as error:
            self.error = error

    def end(self) -> ModelError | None:
        self._thread.join()
        return self.error


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid), "its threads to stop")


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_a_stop_gives_up_and_the_next_question_is_answered(
    terminal: MakeCore, tmp_path: Path, shared: bool
) -> None:
    core = terminal(tmp_path / "run" if shared else None)
    reply = Reply(core)
    freeze(frozen := worker_pid(core))
    core.stop()
    error = reply.end()
    assert error is not None
    assert (error.code, str(error)) == ("frozen", FROZEN)
    assert (core.status().phase, core.status().detail) == (Phase.FAILED, FROZEN)
    assert len(ids(answer(core))) == 8
    assert worker_pid(core) != frozen
    if shared:
        assert core.status().warning == ALONE
        os.kill(frozen, signal.SIGKILL)
    else:
        wait_until(lambda: not runs(frozen), "the end of the frozen worker")


def test_a_stop_has_one_wait_after_the_other_only_once(
    terminal: MakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third one, of the link for its own questions, would be seen."""
    monkeypatch.setattr(linking, "_ANSWER_WAIT_S", 1e6)
    core = terminal()
    reply = Reply(core)
    freeze(worker_pid(core))
    core.stop()
    error = reply.end()
    assert error is not None
    assert error.code == "frozen"


def test_one_that_goes_on_after_a_question_has_not_answered_it(terminal: MakeCore) -> None:
    """Tokens that were on their way when it froze come after the question."""
    core = terminal()
    reply = Reply(core)
    link = core._link
    assert link is not None
    asked, link._outgoing = link._outgoing, SimpleQueue()  # the question waits here
    question, seen = link.ask(), len(reply.events)
    wait_until(lambda: len(reply.events) > seen, "more of the reply")
    assert not link.has_answered(question)
    kept, link._outgoing = link._outgoing, asked
    asked.put(kept.get())
    wait_until(lambda: link.has_answered(question), "its answer")
    core.stop()
    assert reply.end() is None


def test_a_stop_waits_for_no_worker_that_is_being_left(
    terminal: MakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, leaving, left = terminal(), threading.Event(), threading.Event()
    assert answer(core)
    link = core._link
    assert link is not None

    def close() -> None:
        leaving.set()
        assert left.wait(300)

    monkeypatch.setattr(link, "close", close)
    link.kill()
    wait_until(lambda: core.status().phase is Phase.FAILED, "its end")
    asking = threading.Thread(target=answer, args=(core,))
    asking.start()
    assert leaving.wait(300)
    core.stop()
    left.set()
    asking.join()


@pytest.mark.slow
def test_what_it_reads_no_more_is_not_waited_for(terminal: MakeCore) -> None:
    """Pictures fill the socket; neither sending them nor a stop waits for room in it."""
    core = terminal()
    assert answer(core)
    freeze(worker_pid(core))
    link = core._link
    assert link is not None
    for number in range(8):
        link.send({"op": "pixels", "id": 1000 + number}, bytes(1 << 20))
    core.stop()


@pytest.mark.slow
def test_another_terminal_gets_a_worker_of_its_own(terminal: MakeCore, tmp_path: Path) -> None:
    first, second = terminal(tmp_path / "run"), terminal(tmp_path / "run")
    answer(first)
    freeze(frozen := worker_pid(first))
    assert len(ids(answer(second))) == 8
    assert second.status().warning == ALONE
    assert worker_pid(second) != frozen
    assert runs(frozen), "it may go on, and others use it"


def test_an_old_one_that_says_nothing_has_had_its_time(
    terminal: MakeCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose driver hangs is not stopped for the system; it can't be importing after an hour."""
    monkeypatch.setattr(linking, "is_stopped", lambda pid: False)
    monkeypatch.setattr(linking, "_WELCOME_WAIT_S", 3000.0)
    monkeypatch.setattr(linking, "age_s", lambda pid: 3600.0)
    first, second = terminal(tmp_path / "run"), terminal(tmp_path / "run")
    answer(first)
    freeze(worker_pid(first))
    assert len(ids(answer(second))) == 8
    assert second.status().warning == ALONE


@pytest.fixture
def stillborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Stop the first worker that is started, before it says a word; its process is noted."""
    frozen: list[int] = []

    def launched(*arguments: Any, **options: Any) -> Any:
        channel, process = launch(*arguments, **options)
        if not frozen:
            freeze(process.pid)
            frozen.append(process.pid)
        return channel, process

    monkeypatch.setattr(linking, "launch", launched)
    yield frozen
    for pid in frozen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_one_that_froze_while_it_started_is_left_for_another(
    terminal: MakeCore, tmp_path: Path, stillborn: list[int]
) -> None:
    core = terminal(tmp_path / "run")
    assert len(ids(answer(core))) == 8
    assert core.status().warning == ALONE
    assert worker_pid(core) not in stillborn


def test_starting_again_kills_one_that_froze_while_it_started(
    terminal: MakeCore, tmp_path: Path, stillborn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "is_stopped", lambda pid: False)  # it hangs, and looks alive
    core = terminal(tmp_path / "run")
    core.preload()
    wait_until(lambda: stillborn and core._link and core._link.pid, "the worker's start")
    core.kill_hung()
    core.close()
    wait_until(lambda: not runs(stillborn[0]), "its end")


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_starting_again_kills_what_does_not_react(
    terminal: MakeCore, tmp_path: Path, shared: bool
) -> None:
    runtime = tmp_path / "run" if shared else None
    core = terminal(runtime)
    answer(core)
    core.kill_hung()
    pid = worker_pid(core)
    assert runs(pid), "it reacts"
    freeze(pid)
    core.kill_hung()
    core.close()
    wait_until(lambda: not runs(pid), "its end")
    again = terminal(runtime)
    assert len(ids(answer(again))) == 8
    assert again.status().warning == ""


def test_starting_again_ends_a_reply_for_what_was_the_matter(terminal: MakeCore) -> None:
    """It did not end unexpectedly."""
    core = terminal()
    reply = Reply(core)
    freeze(worker_pid(core))
    core.kill_hung()
    error = reply.end()
    assert error is not None
    assert error.code == "frozen"


def test_leaving_does_not_wait(terminal: MakeCore) -> None:
    core = terminal()
    reply = Reply(core)
    freeze(pid := worker_pid(core))
    core.close()
    assert reply.end() is not None
    wait_until(lambda: not runs(pid), "the end of the worker, which was this terminal's own")


@pytest.mark.slow
def test_ask_meets_a_frozen_worker(random_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_KEEP_ALIVE", "600")
    command = [
        sys.executable, "-m", "assistant.cli", "ask", "--model", str(random_folder),
        "--max-new-tokens", "6", "--json", "x",
    ]  # fmt: skip
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    (noted,) = load_settings({}).runtime_dir.glob("*.pid")
    freeze(pid := int(noted.read_text()))
    try:
        asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    finally:
        os.kill(pid, signal.SIGKILL)
    assert (asked.returncode, asked.stderr) == (0, f"{ALONE}\n")
    assert json.loads(asked.stdout)["usage"]["completion_tokens"] == 6


@pytest.mark.slow
def test_ask_gives_up_a_worker_that_freezes(random_folder: Path) -> None:
    command = [
        sys.executable, "-m", "assistant.cli", "ask", "--model", str(random_folder),
        "--max-new-tokens", "12000", "x",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment
    ) as ask:
        assert ask.stdout is not None
        assert ask.stdout.read(1)
        (noted,) = load_settings({}).runtime_dir.glob("*.pid")
        freeze(pid := int(noted.read_text()))
        try:
            ask.send_signal(signal.SIGINT)
            _, stderr = ask.communicate()
        finally:
            os.kill(pid, signal.SIGKILL)
    assert ask.returncode == 1
    assert stderr.decode().endswith(f"{FROZEN}\n")
