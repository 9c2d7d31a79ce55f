"""Several terminals, one worker: real processes and sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from assistant.values.conversation import FinishReason
from assistant.values.events import Phase
from assistant.values.generation import GenerationEnded, Pixels
from assistant.values.sampling import Sampling
from assistant.worker.client import LocalCore
from assistant.worker.frames import SIZES
from assistant.worker.rendezvous import SUFFIX
from assistant.worker.shared_workers import shared_workers
from tests.wait import wait_until
from tests.worker.terminals import PROMPT, Terminal, answer, ids, picture, worker_pid


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path is longer than a socket's may be, where the system bears that."""
    home = tmp_path_factory.mktemp("home")
    return home / ("long" * 50 if os.path.isdir("/proc/self/fd") else "") / "run"


@pytest.fixture(scope="module")
def first(random_folder: Path, runtime: Path) -> Iterator[LocalCore]:
    """The terminal that starts the worker which the tests of this file share."""
    core = LocalCore(
        str(random_folder),
        dtype="float32",
        context=2048,
        threads=1,
        runtime=runtime,
        log=runtime / "worker.log",
    )
    answer(core)
    pid = worker_pid(core)
    yield core
    assert worker_pid(core) == pid, "whatever the tests did, the worker lived"
    core.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists() if os.path.isdir("/proc") else True)
    assert sorted(path.name for path in runtime.iterdir()) == ["lock", "worker.log"]
    assert "ended: nobody uses it" in (runtime / "worker.log").read_text()


@pytest.fixture
def busy(first: LocalCore, runtime: Path) -> Iterator[Terminal]:
    """A terminal whose request runs until the test shows the picture or ends it."""
    with Terminal(runtime) as terminal:
        terminal.ask(1, picture("busy"))
        terminal.hear("pixels_wanted")
        yield terminal


def test_a_second_terminal_joins(first: LocalCore, random_folder: Path, runtime: Path) -> None:
    second = LocalCore(
        str(random_folder), dtype="float32", context=2048, threads=1, runtime=runtime
    )
    try:
        events = answer(second)
        assert worker_pid(second) == worker_pid(first)
        assert ids(events) == ids(answer(first))
        assert isinstance(events[-1], GenerationEnded)
        assert events[-1].load_s == 0, "it was loaded already"
        assert events[-1].usage.cached_tokens == 3, "they share what is cached, too"
    finally:
        second.close()
    answer(first)


def test_what_a_worker_tells_of_itself(first: LocalCore, busy: Terminal, runtime: Path) -> None:
    busy.ask(2)
    wait_until(lambda: shared_workers(runtime)[0].requests == 2)
    (about,) = shared_workers(runtime)
    assert about.pid == worker_pid(first)
    assert (about.clients, about.phase) == (2, Phase.READY)
    assert about.folder == first.facts().folder
    assert about.uptime_s > 0
    assert about.resident_bytes is None or about.resident_bytes > 50 << 20


def test_one_of_each_in_turn(busy: Terminal, runtime: Path) -> None:
    """busy 1 runs; b 1, b 2, c 1 and busy 2 wait, in this order of arrival."""
    with Terminal(runtime) as b, Terminal(runtime) as c:
        b.ask(1, picture("b1"))
        assert b.hear("queued") == {"id": 1, "ev": "queued", "ahead": 1}
        b.ask(2, picture("b2"))
        assert b.hear("queued") == {"id": 2, "ev": "queued", "ahead": 2}
        c.ask(1, picture("c1"))
        assert c.hear("queued") == {"id": 1, "ev": "queued", "ahead": 2}, "before b's second"
        assert b.hear("queued") == {"id": 2, "ev": "queued", "ahead": 3}
        busy.ask(2, picture("busy2"))
        assert busy.hear("queued") == {"id": 2, "ev": "queued", "ahead": 3}
        turns = [(b, 1), (c, 1), (busy, 2), (b, 2)]
        running, number = busy, 1
        for position, (terminal, following) in enumerate(turns):
            running.stop(number)
            ended = running.hear("ended")
            assert (ended["id"], ended["finish_reason"]) == (number, FinishReason.STOPPED)
            assert terminal.hear("pixels_wanted")["id"] == following
            (about,) = shared_workers(runtime)
            assert about.requests == len(turns) - position
            running, number = terminal, following
        running.stop(number)
        running.hear("ended")


def test_a_waiting_terminal_sees_its_place_change(
    first: LocalCore, busy: Terminal, runtime: Path
) -> None:
    with Terminal(runtime) as other:
        other.ask(1, picture("other"))
        other.hear("queued")
        seen = []
        for event in first.generate(PROMPT, Sampling(max_new_tokens=4), _no_pixels):
            seen.append(event)
            if getattr(event, "detail", "") == "waiting for 2 other requests":
                busy.stop(1)
            if getattr(event, "detail", "") == "waiting for 1 other request":
                other.stop(1)
        words = [event.detail for event in seen if getattr(event, "stage", "") == "queued"]
        assert words == ["waiting for 2 other requests", "waiting for 1 other request"]
        assert len(ids(seen)) == 4


def test_stop_takes_a_waiting_request_out(first: LocalCore, busy: Terminal, runtime: Path) -> None:
    events = []
    for event in first.generate(PROMPT, Sampling(max_new_tokens=4), _no_pixels):
        events.append(event)
        first.stop()
    assert isinstance(events[-1], GenerationEnded)
    assert events[-1].finish_reason is FinishReason.STOPPED
    assert events[-1].usage.completion_tokens == 0
    assert shared_workers(runtime)[0].requests == 1, "the other one's runs on"


def test_a_client_that_vanishes_delays_no_other(first: LocalCore, runtime: Path) -> None:
    """A terminal dies with one request running, another with one waiting."""
    with Terminal(runtime) as running, Terminal(runtime) as waiting:
        running.ask(1, picture("gone"))
        running.hear("pixels_wanted")
        waiting.ask(1, picture("gone too"))
        waiting.hear("queued")
        waiting.channel.close()
        wait_until(lambda: shared_workers(runtime)[0].requests == 1)
        running.channel.close()
        assert len(ids(answer(first))) == 8
        wait_until(lambda: shared_workers(runtime)[0].clients == 1)


def test_a_long_reply_that_is_not_read_delays_no_other(first: LocalCore, runtime: Path) -> None:
    with Terminal(runtime) as suspended:
        suspended.ask(1, max_new_tokens=400)
        assert len(ids(answer(first))) == 8
        assert suspended.hear("ended")["usage"]["completion_tokens"] == 400


def test_clients_never_receive_stop_or_answer_another(first: LocalCore, runtime: Path) -> None:
    """Two terminals with the same number: one's pixels and stops are not the other's."""
    with Terminal(runtime) as one, Terminal(runtime) as two:
        one.ask(1, picture("sq336"), max_new_tokens=5)
        one.hear("pixels_wanted")
        two.ask(1, max_new_tokens=3)
        two.hear("queued")
        two.show(1, "small_100x80")
        two.stop(2)
        two.channel.send({"op": "info"})  # answered after what was sent before it was obeyed
        two.hear("info")
        one.show(1, "sq336")
        assert one.hear("ended", "failed")["usage"]["completion_tokens"] == 5
        heard = []
        while not heard or heard[-1]["ev"] != "ended":
            heard.append(two.hear("tokens", "ended", "pixels_wanted", "failed"))
        assert sum(len(header.get("ids", ())) for header in heard) == 3
        assert {header["ev"] for header in heard} == {"tokens", "ended"}


def test_only_who_knows_the_token_gets_in(first: LocalCore, runtime: Path) -> None:
    for token in ("", "0" * 64, "\ud800"):
        with Terminal(runtime, token=token) as stranger:
            assert [header["ev"] for header in stranger.rest()] == ["refused"]


def test_a_visitor_only_asks(first: LocalCore, runtime: Path) -> None:
    with Terminal(runtime, keep_alive=None) as visitor:
        visitor.ask(1)
        assert [header["ev"] for header in visitor.rest()] == ["welcome", "refused"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_the_kernel_says_who_is_there(first: LocalCore, runtime: Path, tmp_path: Path) -> None:
    """Someone else who got at the socket and even the token hears nothing."""
    code = (
        "import os, socket, sys\n"
        "os.chdir(sys.argv[1])\n"
        "ours = socket.socket(socket.AF_UNIX)\n"
        "if sys.argv[3] == 'other': os.setuid(65534)\n"
        "try:\n"
        "    ours.connect(sys.argv[2])\n"
        "    ours.sendall(bytes.fromhex(sys.argv[4]))\n"
        "    print(len(ours.recv(1000)))\n"
        "except (BrokenPipeError, ConnectionResetError):\n"
        "    print(0)\n"
        "except PermissionError:\n"
        "    print('closed')\n"
    )
    (path,) = runtime.glob(f"*{SUFFIX}")
    token = path.with_suffix(".token").read_text()
    hello = json.dumps({"op": "hello", "token": token}).encode()
    frame = (SIZES.pack(len(hello), 0) + hello).hex()
    path.chmod(0o666)
    heard = {"root": "closed", "other": "closed"}
    try:
        for who in heard:
            while heard[who] == "closed":  # the worker, which looks at it, closes the folder again
                runtime.chmod(0o711)
                command = [sys.executable, "-c", code, str(runtime), path.name, who, frame]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                heard[who] = done.stdout.strip()
    finally:
        runtime.chmod(0o700)
        path.chmod(0o600)
    assert int(heard["root"]) > 0
    assert int(heard["other"]) == 0


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pixels", "detail", "tokens", "temperature", "seed", "x"]), inner
        )
    ),
    max_leaves=8,
)
HEADERS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["generate", "read_ahead", "stop", "pixels", "info", "hello", "load"])
        | JUNK
    },
    optional={
        "id": JUNK | st.integers(0, 3),
        "parts": JUNK | st.just([[1, 5]]) | st.just([[40_000]]) | st.just([[], []]),
        "sampling": JUNK | st.just({"max_new_tokens": 2}) | st.just({"top_p": 1e300, "top_k": -7}),
        "following": JUNK | st.integers(0, 9),
        "width": JUNK | st.just(1),
        "height": JUNK | st.just(1),
        "error": JUNK,
    },
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    frames=st.lists(HEADERS | st.binary(max_size=40), max_size=4),
    payload=st.binary(max_size=9),
    sizes=st.none() | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)),
)
def test_nonsense_harms_only_who_sends_it(
    first: LocalCore,
    runtime: Path,
    frames: list[Any],
    payload: bytes,
    sizes: tuple[int, int] | None,
) -> None:
    """After a good hello, the sender of any frame is answered or sent away; others go on."""
    with Terminal(runtime) as mad, Terminal(runtime) as sane:
        try:
            for frame in frames:
                if isinstance(frame, bytes):
                    mad.socket.sendall(SIZES.pack(len(frame), len(payload)) + frame + payload)
                else:
                    mad.channel.send(frame, payload if frame["op"] == "pixels" else b"")
            if sizes is not None:
                mad.socket.sendall(SIZES.pack(*sizes))
        except OSError:
            pass  # it was sent away already
        sane.ask(1, max_new_tokens=3)
        heard = []
        while not heard or heard[-1]["ev"] != "ended":
            heard.append(sane.hear("tokens", "ended", "failed"))
        assert sum(len(header.get("ids", ())) for header in heard) == 3
        sane.channel.send({"op": "info"})
        assert sane.hear("info")["pid"] == worker_pid(first)


def test_pixels_that_are_announced_take_no_memory(
    busy: Terminal, first: LocalCore, runtime: Path
) -> None:
    (before,) = shared_workers(runtime)
    text = b'{"op": "pixels", "id": 1, "width": 8000, "height": 8000}'
    busy.socket.sendall(SIZES.pack(len(text), 8000 * 8000 * 3) + text)
    busy.socket.sendall(SIZES.pack(0, 0))
    (after,) = shared_workers(runtime)
    if before.resident_bytes is not None and after.resident_bytes is not None:
        assert after.resident_bytes - before.resident_bytes < 50 << 20
    busy.channel.close()
    assert len(ids(answer(first))) == 8


def _no_pixels(sha256: str) -> Pixels:
    raise AssertionError("this prompt has no picture")
