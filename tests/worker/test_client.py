"""The worker process, for real: loading, streaming, stop, crash and restart."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.values.conversation import FinishReason
from assistant.values.errors import ModelError, PictureError
from assistant.values.events import Phase, Progressed, Stage
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.model import CoreEvent
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.worker.client import LocalCore
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


@pytest.fixture(scope="module")
def core(random_folder: Path) -> Iterator[LocalCore]:
    core = LocalCore(str(random_folder), dtype="float32", context=2048, threads=1)
    yield core
    core.close()


def test_loads_behind_the_caller_and_streams(core: LocalCore) -> None:
    core.preload()
    assert core.status().phase in (Phase.LOADING, Phase.READY)
    events = answer(core)
    assert core.status().phase is Phase.READY
    assert len(ids(events)) == 8
    ended = events[-1]
    assert isinstance(ended, GenerationEnded)
    assert ended.usage.prompt_tokens == 4
    assert ended.load_s > 0, "the first reply waited for the model"
    again = answer(core)
    assert ids(again) == ids(events)
    assert isinstance(again[-1], GenerationEnded)
    assert again[-1].load_s == 0
    assert again[-1].usage.cached_tokens == 3


def test_pixels_are_asked_for_once(core: LocalCore) -> None:
    asked: list[str] = []

    def counting(sha256: str) -> Pixels:
        asked.append(sha256)
        return pixels(sha256)

    one = list(core.generate(picture("sq336"), Sampling(max_new_tokens=4), counting))
    two = list(core.generate(picture("sq336"), Sampling(max_new_tokens=4), counting))
    assert asked == ["sq336"]
    assert ids(one) == ids(two)
    assert Progressed(Stage.PICTURES, 0, 1) in one


def test_nothing_is_kept_of_a_chat_that_is_to_be_forgotten(core: LocalCore) -> None:
    asked: list[str] = []

    def counting(sha256: str) -> Pixels:
        asked.append(sha256)
        return pixels(sha256)

    def cached(chat: str) -> int:
        prompt = replace(picture("vga_480x640"), chat=chat)
        ended = list(core.generate(prompt, Sampling(max_new_tokens=4), counting))[-1]
        assert isinstance(ended, GenerationEnded)
        return ended.usage.cached_tokens

    assert cached("one") < cached("one")
    core.forget("other")
    assert cached("one") > 0
    core.forget("one")
    assert cached("one") <= 2, "what prompts of others begin with"
    assert asked == ["vga_480x640"] * 2


def test_a_picture_that_is_gone_fails_that_turn_only(core: LocalCore) -> None:
    def gone(sha256: str) -> Pixels:
        raise PictureError("The picture is not in the database any more.")

    with pytest.raises(ModelError, match="not in the database"):
        list(core.generate(picture("lost"), Sampling(), gone))
    assert len(ids(answer(core))) == 8


def test_stop_from_another_place(core: LocalCore) -> None:
    events = core.generate(PROMPT, Sampling(max_new_tokens=1500), pixels)
    got: list[CoreEvent] = []
    for event in events:
        got.append(event)
        if len(ids(got)) == 3:
            core.stop()
    assert isinstance(got[-1], GenerationEnded)
    assert got[-1].finish_reason is FinishReason.STOPPED
    # in process time a token is a millisecond; the stop crosses two sockets
    assert len(ids(got)) < 1500


def test_a_dropped_generation_does_not_disturb_the_next(core: LocalCore) -> None:
    events = core.generate(PROMPT, Sampling(max_new_tokens=1500), pixels)
    next(event for event in events if isinstance(event, TokensGenerated))
    events.close()  # type: ignore[attr-defined]
    assert len(ids(answer(core))) == 8


def test_dropped_while_a_picture_is_wanted(core: LocalCore) -> None:
    """The worker waits for pixels that no client will send any more."""
    other = picture("small_100x80")
    events = core.generate(other, Sampling(), pixels)
    assert next(events) == Progressed(Stage.PICTURES, 0, 1)
    events.close()  # type: ignore[attr-defined]
    assert len(ids(answer(core))) == 8
    assert len(ids(answer(core, other))) == 8


def test_a_prompt_beyond_the_context_is_refused_and_the_worker_goes_on(core: LocalCore) -> None:
    pid = worker_pid(core)
    with pytest.raises(ModelError, match="the model holds 2048"):
        answer(core, Prompt((tuple([5] * 3000),)))
    answer(core)
    assert worker_pid(core) == pid


@pytest.mark.long
def test_a_killed_worker_is_an_event_and_starts_again(core: LocalCore) -> None:
    want = ids(answer(core))
    pid = worker_pid(core)
    events = core.generate(PROMPT, Sampling(max_new_tokens=1500), pixels)
    next(event for event in events if isinstance(event, TokensGenerated))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ModelError, match="ended unexpectedly"):
        list(events)
    assert core.status().phase is Phase.FAILED
    assert ids(answer(core)) == want
    assert worker_pid(core) != pid


@pytest.mark.long
@pytest.mark.parametrize("stage", [Stage.LOADING, Stage.PREFILL, Stage.PICTURES])
def test_killed_at_any_stage(stage: Stage, random_folder: Path) -> None:
    core = LocalCore(str(random_folder), dtype="float32", context=2048, threads=1)
    try:
        prompt = Prompt(((1, *range(5, 1500)), *picture("sq336").parts))
        events = core.generate(prompt, Sampling(max_new_tokens=4), pixels)
        next(e for e in events if isinstance(e, Progressed) and e.stage is stage)
        os.kill(worker_pid(core), signal.SIGKILL)
        with pytest.raises(ModelError, match="ended unexpectedly") as crash:
            list(events)
        assert crash.value.code == "crashed"
        assert len(ids(answer(core, prompt, 4))) == 4
    finally:
        core.close()


def test_stop_and_close_do_not_wait_for_the_loading(random_folder: Path) -> None:
    core = LocalCore(str(random_folder), threads=1)
    events = core.generate(PROMPT, Sampling(), pixels)
    first = next(events)
    assert isinstance(first, Progressed)
    assert first.stage is Stage.LOADING
    core.stop()
    (*_, ended) = events
    assert isinstance(ended, GenerationEnded)
    assert ended.finish_reason is FinishReason.STOPPED
    assert core.status().phase is Phase.LOADING
    pid = worker_pid(core)
    core.close()
    wait_until(lambda: not runs(pid), "the worker's end")


def test_a_memory_plan_sets_the_context(random_folder: Path) -> None:
    core = LocalCore(str(random_folder), threads=1, context=2048)
    core.preload()
    assert core._link is not None
    core._hear(core._link, {"ev": "planned", "plan": {"context_tokens": 1000}})
    assert core.facts().context == 1000
    assert core.status().plan == {"context_tokens": 1000}
    core._hear(core._link, {"ev": "planned", "plan": {"context_tokens": 9000}})
    assert core.facts().context == 2048, "a plan never gives more than was asked for"
    core.close()


def test_the_worker_ends_with_the_app(random_folder: Path) -> None:
    """kill -9 of the app: no orphan keeps gigabytes of weights."""
    code = (
        "import time\n"
        "from assistant.worker.client import LocalCore\n"
        f"core = LocalCore({str(random_folder)!r}, threads=1)\n"
        "core.preload()\n"
        "while core._link.pid is None: time.sleep(0.02)\n"
        "print(core._link.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as app:
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        app.kill()
        app.wait()
        wait_until(lambda: not runs(pid))


def test_a_damaged_model_is_reported_in_one_sentence(random_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(random_folder, tmp_path / "damaged"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    core = LocalCore(str(folder), threads=1)
    try:
        with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
            answer(core)
        assert core.status().phase is Phase.FAILED
    finally:
        core.close()


@pytest.mark.parametrize("name", ["nobody/nothing", "nothing", "https://example.com/v1"])
def test_an_unknown_model_is_reported_without_a_worker(name: str) -> None:
    core = LocalCore(name)
    core.preload()
    assert core.status().phase is Phase.FAILED
    assert core.status().detail
    with pytest.raises(ModelError):
        answer(core)
    assert core._link is None


def test_the_app_side_never_imports_torch() -> None:
    code = (
        "import sys, assistant.worker.client, assistant.engine, assistant.cli\n"
        "heavy = {'torch', 'transformers', 'numba', 'numpy', 'textual'}\n"
        "heavy.add('huggingface_hub.file_download')\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


AHEAD = Prompt(picture("sq336").parts[:2])


def vision_passes(terminal: Terminal) -> int:
    terminal.channel.send({"op": "info"})
    return int(terminal.hear("info")["vision_passes"])


@pytest.fixture
def sharing(random_folder: Path, tmp_path: Path) -> Iterator[LocalCore]:
    """A core with a worker of its own, where a test's terminal may join."""
    core = LocalCore(
        str(random_folder), dtype="float32", context=2048, threads=1, runtime=tmp_path / "run"
    )
    answer(core)
    yield core
    core.close()


def test_a_picture_is_looked_at_before_it_is_asked_about(
    sharing: LocalCore, core: LocalCore, tmp_path: Path
) -> None:
    with Terminal(tmp_path / "run") as looking:
        assert sharing.read_ahead(AHEAD, 9, pixels)
        passes = wait_until(lambda: vision_passes(looking), "the count of what was read")
        events = list(sharing.generate(picture("sq336"), Sampling(max_new_tokens=4), _no_pixels))
        assert vision_passes(looking) == passes, "the tower does not run again"
    # after it, because features that another worker has written to the disk are read from there
    want = ids(list(core.generate(picture("sq336"), Sampling(max_new_tokens=4), pixels)))
    assert ids(events) == want
    assert not [e for e in events if isinstance(e, Progressed) and e.stage is Stage.PICTURES]
    assert isinstance(events[-1], GenerationEnded)
    assert events[-1].usage.cached_tokens == AHEAD.tokens


@pytest.mark.slow
def test_a_reply_comes_before_what_is_read_ahead(sharing: LocalCore, tmp_path: Path) -> None:
    """The worker waits for the picture when another terminal asks; then it asks again."""
    with Terminal(tmp_path / "run") as reading:
        reading.read_ahead(1, AHEAD)
        reading.hear("pixels_wanted")
        assert len(ids(answer(sharing))) == 8
        reading.hear("pixels_wanted")
        reading.show(1, "sq336")
        assert reading.hear("read") == {"id": 1, "ev": "read", "whole": True}


@pytest.mark.slow
def test_reading_ahead_ends_when_it_is_given_up(sharing: LocalCore, tmp_path: Path) -> None:
    with Terminal(tmp_path / "run") as reading:
        reading.read_ahead(1, AHEAD)
        reading.hear("pixels_wanted")
        reading.stop(1)
        assert reading.hear("read") == {"id": 1, "ev": "read", "whole": False}
        assert vision_passes(reading) == 0
        reading.read_ahead(2, AHEAD)
        reading.hear("pixels_wanted")
        reading.ask(3)  # what it sends is what it waits for now
        heard = [reading.hear("read", "ended")["id"] for _ in range(2)]
        assert heard == [2, 3]


@pytest.mark.slow
def test_giving_up_from_another_thread(sharing: LocalCore) -> None:
    def gives_up(sha256: str) -> Pixels:
        sharing.stop_reading()
        return pixels(sha256)

    assert not sharing.read_ahead(AHEAD, 9, gives_up)
    assert len(ids(answer(sharing))) == 8


@pytest.mark.slow
def test_a_picture_that_can_not_be_read_fails_no_reply(sharing: LocalCore) -> None:
    def gone(sha256: str) -> Pixels:
        raise PictureError("It is gone.")

    def broken(sha256: str) -> Pixels:
        raise RuntimeError("a fault of ours")

    assert not sharing.read_ahead(AHEAD, 9, gone)
    with pytest.raises(RuntimeError, match="of ours"):
        sharing.read_ahead(AHEAD, 9, broken)
    assert not sharing.read_ahead(Prompt(((1, 40_000),)), 9, _no_pixels), "no such token"
    assert not sharing.read_ahead(Prompt((tuple([5] * 3000),)), 9, _no_pixels), "beyond the context"
    assert len(ids(answer(sharing))) == 8


def test_reading_ahead_loads_no_model(random_folder: Path) -> None:
    core = LocalCore(str(random_folder), threads=1)
    assert not core.read_ahead(AHEAD, 9, pixels)
    core.stop_reading()
    assert core._link is None


def _no_pixels(sha256: str) -> Pixels:
    raise AssertionError("the picture was encoded already")
