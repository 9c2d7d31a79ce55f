"""Pictures against the decoder: it may hang, fill up, print or crash; the app never does."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from PIL import Image
from textual import events

from assistant.pictures import decode
from assistant.pictures.decoder import examine, process
from assistant.pictures.decoder.pool import POOL, DecoderPool
from assistant.pictures.decoder.process import DecoderProcess
from assistant.pictures.films import open_video
from assistant.values.errors import PictureError
from tests.hardening.hostile_pictures import endless_jpeg, mutations, talkative_tiff, wide_webp
from tests.pictures.picture_files import encoded, flag
from tests.tiers import few_quick
from tests.tui.desk import WIDE, Desk, area, composer, notices, png, until
from tests.wait import LIMIT_S, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")

NEVER_S = 100_000.0
"""A limit that is not what ends a decoding here."""


@pytest.fixture(scope="module")
def endless() -> bytes:
    return endless_jpeg()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    POOL.close()


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "CPU_S", NEVER_S)
    monkeypatch.setattr(process, "WALL_S", NEVER_S)


def refused(data: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        decode.open_bytes(data, name="attack")
    assert caught.value.code == "picture"
    assert_next_works()
    return str(caught.value)


def assert_next_works() -> None:
    assert decode.open_bytes(encoded(flag())).width == 30


def decoding() -> DecoderProcess:
    """Wait until a picture is being decoded, and computing has begun."""

    def found() -> DecoderProcess | None:
        for decoder in list(POOL._busy):
            status = Path(f"/proc/{decoder.pid}/stat")
            if not status.exists():
                return decoder
            if (
                int(status.read_text().rpartition(")")[2].split()[11]) > 60
            ):  # hundredths of a second
                return decoder
        return None

    return wait_until(found, "a picture that is being decoded")  # type: ignore[return-value]


def in_thread(act: Callable[[], object]) -> concurrent.futures.Future[object]:
    done: concurrent.futures.Future[object] = concurrent.futures.Future()

    def run() -> None:
        try:
            done.set_result(act())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done


# Time


@pytest.mark.slow
def test_a_jpeg_of_thousands_of_scans_is_given_up(
    endless: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "CPU_S", 0.3)
    monkeypatch.setattr(process, "WALL_S", NEVER_S)
    assert "takes too long to decode" in refused(endless)
    with pytest.raises(PictureError, match="takes too long"):
        decode.pixels(endless, (60, 40))


@pytest.mark.long
def test_it_is_given_up_after_ten_seconds_of_computing(endless: bytes) -> None:
    before = os.times()
    assert "takes too long to decode" in refused(endless)
    POOL.close()
    after = os.times()
    used = after.children_user + after.children_system
    assert used - before.children_user - before.children_system < decode.CPU_S + 5


def test_a_decoder_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    POOL.close()  # of several idle ones another may be taken
    assert_next_works()
    os.kill(POOL._idle[0].pid, signal.SIGSTOP)
    monkeypatch.setattr(process, "WALL_S", 0.2)
    with pytest.raises(PictureError, match="takes too long"):
        decode.open_bytes(encoded(flag()))
    monkeypatch.setattr(process, "WALL_S", NEVER_S)
    assert_next_works()


@pytest.mark.usefixtures("unlimited")
def test_an_exception_of_the_watch_ends_a_decoding(endless: bytes) -> None:
    class GivenUpError(Exception):
        pass

    def watch(done: int, total: int) -> None:
        assert done == total == len(endless)
        raise GivenUpError

    with pytest.raises(GivenUpError):
        decode.open_bytes(endless, watch=watch)
    assert not POOL._busy
    assert_next_works()


@pytest.mark.slow
@pytest.mark.usefixtures("unlimited")
def test_a_stop_ends_what_runs_and_what_waits(
    endless: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(POOL, "_most", 1)
    first = in_thread(lambda: decode.open_bytes(endless, name="first"))
    decoding()
    second = in_thread(lambda: decode.pixels(encoded(flag())))
    decode.stop_decoding()
    error = first.exception(timeout=LIMIT_S)
    assert str(error) == "first was not opened: it was stopped."
    second.exception(timeout=LIMIT_S)  # it was stopped, or came after the stop
    assert_next_works()


# Memory


def _peak_bytes() -> int:
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not keep the limit")
def test_a_webp_of_a_few_bytes_and_many_pixels() -> None:
    data = wide_webp()
    assert len(data) <= 46
    before = _peak_bytes()
    assert "not enough memory" in refused(data)
    assert _peak_bytes() - before < 50 << 20
    small = decode.open_bytes(wide_webp(100, 80))  # it is a picture
    assert (small.width, small.height) == (100, 80)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_limits_are_set() -> None:
    assert_next_works()
    limits = Path(f"/proc/{POOL._idle[0].pid}/limits").read_text()
    rows = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()}
    assert rows["Max address space"] == str(decode.MAX_MEMORY)
    assert rows["Max core file size"] == "0"


# Output


def test_nothing_that_a_library_prints_reaches_the_screen(
    capfd: pytest.CaptureFixture[str],
) -> None:
    data = talkative_tiff()
    with pytest.raises(PictureError):
        examine.decoded(data, "attack")
    assert capfd.readouterr().err.count("\n") > 0, "the attack is none"
    refused(data)
    assert capfd.readouterr() == ("", "")


# Crashes


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("name", few_quick(["SIGSEGV", "SIGABRT", "SIGKILL"]))
def test_a_crash_is_one_sentence(endless: bytes, name: str) -> None:
    opened = in_thread(lambda: decode.open_bytes(endless, name="attack"))
    os.kill(decoding().pid, getattr(signal, name))
    error = opened.exception(timeout=LIMIT_S)
    assert isinstance(error, PictureError)
    assert str(error).startswith("attack made the decoder fail; save it as PNG")
    assert_next_works()


def test_a_program_and_its_copy_of_a_picture_end_with_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video that was pasted is a file for ffmpeg, which may stand still without computing."""
    own, copies = tmp_path / "pid", tmp_path / "copies"
    copies.mkdir()
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho $$ >{own}.new; mv {own}.new {own}\nexec sleep 100000\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(copies))
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    POOL.close()
    opened = in_thread(lambda: open_video(b"a video", "", "clip.mp4"))
    wait_until(own.exists, "the program")
    assert len(list(copies.iterdir())) == 1, "its copy"
    POOL.stop()
    assert isinstance(opened.exception(timeout=LIMIT_S), PictureError)
    assert list(copies.iterdir()) == []
    number = int(own.read_text())
    wait_until(lambda: not psutil.pid_exists(number) or _is_zombie(number), "the program's end")


def _is_zombie(number: int) -> bool:
    """Whether a process ended; in a container nothing may ask for its exit code."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    return True


def test_a_decoder_that_ended_between_two_pictures_is_replaced() -> None:
    assert_next_works()
    idle = POOL._idle[0]
    os.kill(idle.pid, signal.SIGKILL)
    wait_until(lambda: not idle.is_alive, "the end")
    assert_next_works()
    # one that ends in the very moment: it was asked nothing for a while
    idle = POOL._idle[0]
    idle._link.shutdown(1)
    assert_next_works()
    assert POOL._idle[0] is not idle


def test_a_decoder_that_can_not_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    POOL.close()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(PictureError, match="the decoder does not start"):
        decode.open_bytes(encoded(flag()))
    decode.start_decoding()  # nothing is asked yet: no error


@pytest.mark.parametrize(
    ("answer", "rgb"),
    [
        ({}, b""),
        ({"width": 1, "height": 1}, b""),
        ({"width": 10**9, "height": 1}, b""),
        ({"width": -1, "height": -1}, b"abc"),
        ({"width": True, "height": 1}, b"abc"),
        ({"width": 2, "height": 1}, b"abc"),
        ({"width": "1", "height": 1}, b"abc"),
        ({"width": 1, "height": 1, "format": [], "pixels_sha256": 3}, b""),
        ({"width": 1, "height": 1, "format": "PNG", "pixels_sha256": "x"}, b""),
        ({"error": "\x1b[2Jgone" + "x" * 10_000}, b""),
    ],
)
def test_a_decoder_that_was_taken_over_is_not_believed(
    answer: dict[str, object], rgb: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(POOL, "ask", lambda *asked: (answer, bytearray(rgb)))
    for act in (decode.open_bytes, decode.pixels):
        with pytest.raises(PictureError) as caught:
            act(encoded(flag()))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500


def test_the_decoder_loads_neither_the_model_nor_the_screen() -> None:
    program = (
        "import sys; import assistant.pictures.decoder.__main__; "
        "print([m for m in ('torch', 'transformers', 'textual', 'sqlalchemy', 'numba', 'requests') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_threads_share_the_decoders_and_get_their_own_pictures() -> None:
    pool = DecoderPool(2)
    colours = [(n, 255 - n, n // 2) for n in range(0, 240, 8)]

    def seen(colour: tuple[int, int, int]) -> object:
        data = encoded(Image.new("RGB", (8, 8), colour))
        header = {"op": "pixels", "label": "x", "seconds": NEVER_S, "size": None}
        return tuple(pool.ask(header, data, 300, "x", lambda: None)[1][:3])

    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        assert list(executor.map(seen, colours)) == colours
    assert len(pool._idle) <= 2
    pool.close()


# In the app


@pytest.mark.usefixtures("unlimited")
async def test_quitting_ends_a_decoding(desk: Desk, endless: bytes) -> None:
    path = desk.file("endless.jpg", endless)
    async with desk.app().run_test(size=WIDE) as pilot:
        area(pilot).post_message(events.Paste(str(path)))
        await until(pilot, lambda: composer(pilot).chips.opening, "the picture that is opened")
        await until(pilot, lambda: POOL._busy, "the decoder")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: not POOL._busy, "its end")


@pytest.mark.usefixtures("unlimited")
async def test_taking_the_chip_off_ends_a_decoding(desk: Desk, endless: bytes) -> None:
    path = desk.file("endless.jpg", endless)
    async with desk.app().run_test(size=WIDE) as pilot:
        area(pilot).post_message(events.Paste(str(path)))
        await until(pilot, lambda: POOL._busy, "the decoder")
        await pilot.press("backspace")
        await until(pilot, lambda: not POOL._busy, "its end")
        area(pilot).post_message(events.Paste(str(desk.file("a.png", png()))))
        await until(
            pilot, lambda: [f.name for f in composer(pilot).chips.files] == ["a.png"], "one"
        )
        assert notices(pilot) == []


@pytest.mark.slow
def test_ctrl_c_ends_a_decoding_of_ask(endless: bytes, tmp_path: Path) -> None:
    path = tmp_path / "endless.jpg"
    path.write_bytes(endless)
    program = (
        "import sys; from assistant.pictures import decode; from assistant.pictures.decoder import "
        "process; decode.CPU_S = process.WALL_S = 1e5; "
        "from assistant.cli.root_command import main; "
        f"sys.argv = ['phichat', 'ask', '--model', 'demo', '-i', {str(path)!r}, 'What?']; main()"
    )
    asked = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )

    def decoders() -> list[int]:
        children = Path(f"/proc/{asked.pid}/task/{asked.pid}/children").read_text().split()
        return [int(one) for one in children if _computes(int(one))]

    (decoder,) = wait_until(
        decoders, "the decoder", lambda: asked.poll() is not None and asked.communicate()
    )
    asked.send_signal(signal.SIGINT)
    _, words = asked.communicate(timeout=LIMIT_S)
    assert (asked.returncode, words) == (130, "Stopped; nothing was stored.\n")
    assert not Path(f"/proc/{decoder}").exists()


def _computes(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
    except OSError:
        return False
    return b"assistant.pictures.decoder" in command and int(used) > 60


# Damage


def outcomes(count: int, seed: int) -> Counter[str]:
    """Open damaged pictures; each is a picture or one sentence."""
    found: Counter[str] = Counter()
    for data in mutations(count, seed):
        try:
            file = decode.open_bytes(data, name="damaged")
        except PictureError as error:
            sentence = str(error)
            assert sentence.isprintable()
            assert sentence.endswith(".")
            found[sentence.partition(" (")[0]] += 1
        else:
            found["cut short" if file.notice else "opened"] += 1
            assert decode.pixels(file.data, (8, 8)).size == (8, 8)
    return found


def test_damaged_pictures_open_or_are_refused() -> None:
    found = outcomes(250, seed=1)
    assert found["opened"] > 20
    assert sum(found.values()) - found["opened"] > 50


@pytest.mark.long
def test_twelve_thousand_damaged_pictures_open_or_are_refused(
    record_property: Callable[[str, object], None],
) -> None:
    before = _peak_bytes()
    found = outcomes(12_000, seed=2)
    print(sorted(found.items(), key=lambda pair: -pair[1]))
    assert sum(found.values()) == 12_000
    assert _peak_bytes() - before < 100 << 20
