"""A picture in the terminal's clipboard: the exchange by OSC 5522 with all kinds of answers."""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from textual import events
from textual._xterm_parser import XTermParser

from assistant.pictures.clipboard import open_clipboard
from assistant.pictures.decode import MEDIA_TYPES
from assistant.values.errors import PictureError
from tests.bench.pseudo_terminal import PseudoTerminal
from tests.tui.desk import NARROW, Desk, area, composer, notices, png, until
from tests.wait import LIMIT_S, read_until, wait_until
from tui import textual_fixes
from tui.terminal import asked_clipboard
from tui.terminal.asked_clipboard import AskedClipboard
from tui.terminal.packets import START, awaited
from tui.textual_fixes import ClipboardAnswered

KINDS = tuple(MEDIA_TYPES.values())
PNG = png("teal", (200, 160), "ellipse")
CHUNK = 4096
OVER_SSH = {"TERM": "xterm-kitty", "SSH_CONNECTION": "1 2 3 4"}

Answer = Callable[[str, str], Sequence[str]]
"""Media type asked for, id -> bodies of packets."""


def b64(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def about(number: str, status: str, kind: str = "") -> str:
    mime = f":mime={b64(kind)}" if kind else ""
    return f"type=read:status={status}:id={number}{mime}"


def kitty(kinds: str = "text/plain image/png", data: bytes = PNG) -> Answer:
    """A terminal whose clipboard has these types, and this picture."""

    def answer(kind: str, number: str) -> list[str]:
        given = kinds.encode() if kind == "." else data if kind in kinds.split() else b""
        pieces = [given[start : start + CHUNK] for start in range(0, len(given), CHUNK)]
        data_of = about(number, "DATA", kind)
        return [
            about(number, "OK"),
            *(f"{data_of};{b64(piece)}" for piece in pieces),
            about(number, "DONE"),
        ]

    return answer


def after_the_list(*statuses: str) -> Answer:
    """A terminal that lists a picture and then answers with these statuses."""

    def answer(kind: str, number: str) -> Sequence[str]:
        return kitty()(kind, number) if kind == "." else [about(number, s) for s in statuses]

    return answer


class Played:
    """A terminal at the other end of the exchange."""

    def __init__(self, answer: Answer, environ: dict[str, str] | None = None) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self.clipboard = AskedClipboard(self._hear, environ or OVER_SSH)
        self.clipboard.limits = (0.2, 0.3, 0.2)

    def _hear(self, question: str) -> None:
        body = question.removeprefix(START).removesuffix("\x1b\\")
        fields, _, payload = body.partition(";")
        kind = base64.b64decode(payload).decode()
        self.asked.append(kind)
        for packet in self._answer(kind, fields.rpartition("id=")[2]):
            self.clipboard.take(packet)

    def read(self) -> bytes:
        return self.clipboard.read(KINDS, lambda done, total: None)


@pytest.mark.parametrize(
    ("kinds", "asked"),
    [
        ("text/plain image/png", "image/png"),
        ("image/jpeg\n", "image/jpeg"),
        ("image/bmp image/jpeg image/png image/x-icon", "image/png"),  # before lossy ones
    ],
)
def test_a_picture_comes_in_the_best_type(kinds: str, asked: str) -> None:
    terminal = Played(kitty(kinds, PNG * 20))
    assert terminal.read() == PNG * 20
    assert terminal.asked == [".", asked]
    assert not awaited.is_set()


def test_a_clipboard_without_a_picture_asks_for_no_permission() -> None:
    for kinds in ("text/plain text/html", "", "image/svg+xml"):
        terminal = Played(kitty(kinds))
        with pytest.raises(PictureError, match="no picture in the clipboard; copy one first"):
            terminal.read()
        assert terminal.asked == ["."]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda kind, number: [], "doesn't give programs its clipboard"),
        (lambda kind, number: [about(number, "EPERM")], "refused to have its clipboard read"),
        (lambda kind, number: [about(number, "EBUSY")], "is busy"),
        (lambda kind, number: [about(number, "ENOSYS")], "has no clipboard"),
        (lambda kind, number: [about(number, "EWHAT")], r"can't be read \(EWHAT\)"),
        (lambda kind, number: [about("another", "OK")], "doesn't give programs"),
        (
            lambda kind, number: ["type=write:status=DONE", "", ":::;;", "x"],
            "doesn't give programs",
        ),
        (lambda kind, number: [f"{about(number, 'DATA', '.')};***"], "no base64"),
        (lambda kind, number: [f"type=read:status=OK:id={number}:mime=x"], "no base64"),
        (
            after_the_list("EPERM"),
            "refused to have its clipboard read; paste again and allow",
        ),
        (after_the_list(), "in time; paste again"),
        (after_the_list("OK"), "in time; paste again"),
        (after_the_list("OK", "DONE"), "no picture in the clipboard"),
        (after_the_list("DATA", "DONE"), "no picture in the clipboard"),
    ],
)
def test_any_other_answer_is_one_sentence(answer: Answer, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        Played(answer).read()
    assert not awaited.is_set()


def test_data_of_a_type_that_was_not_asked_for_is_left_out() -> None:
    def answer(kind: str, number: str) -> list[str]:
        first, *rest = kitty()(kind, number)
        return [first, f"{about(number, 'DATA', 'text/plain')};{b64('words')}", *rest]

    assert Played(answer).read() == PNG


def test_a_picture_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked_clipboard, "MOST_BYTES", CHUNK * 3)
    with pytest.raises(PictureError, match="larger than"):
        Played(kitty(data=b"x" * CHUNK * 4)).read()


def test_late_packets_of_one_reading_are_no_part_of_the_next() -> None:
    answers = [after_the_list("EPERM"), kitty()]
    terminal = Played(lambda kind, number: answers[0](kind, number))
    with pytest.raises(PictureError):
        terminal.read()
    terminal.clipboard.take(f"{about('phichat-1', 'DATA', 'image/png')};{b64('late')}")
    answers.pop(0)
    assert terminal.read() == PNG


def test_one_question_at_a_time_and_taking_the_chip_off_ends_it() -> None:
    class TakenOffError(Exception):
        pass

    asked, off = threading.Event(), threading.Event()
    clipboard = AskedClipboard(lambda question: asked.set(), OVER_SSH)
    ended: list[BaseException] = []

    def watch(done: int, total: int) -> None:
        if off.is_set():
            raise TakenOffError

    def read() -> None:
        try:
            clipboard.read(KINDS, watch)
        except TakenOffError as taken:
            ended.append(taken)

    clipboard.limits = (LIMIT_S, LIMIT_S, LIMIT_S)
    thread = threading.Thread(target=read)
    thread.start()
    assert asked.wait(LIMIT_S)
    with pytest.raises(PictureError, match="still being asked"):
        clipboard.read(KINDS, watch)
    off.set()
    wait_until(lambda: ended, "the end of it")
    thread.join()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x,1,0"}, "tmux passes no clipboard on"),
        ({"TERM": "tmux-256color", "SSH_CONNECTION": "1 2 3 4"}, "tmux passes"),
        ({"TERM": "screen-256color"}, "screen passes"),
        ({"TERM": "xterm", "TEXTUAL_DRIVER": "x"}, "The browser passes"),
    ],
)
def test_nothing_is_asked_through_a_program_that_types_the_answer(
    environ: dict[str, str], words: str
) -> None:
    terminal = Played(kitty(), environ)
    with pytest.raises(PictureError, match=words):
        terminal.read()
    assert terminal.asked == []


def test_the_terminal_is_asked_only_where_no_tool_reads() -> None:
    terminal = Played(kitty())

    def ask(kinds: Sequence[str]) -> bytes:
        return terminal.clipboard.read(kinds, lambda done, total: None)

    empty = {"PATH": "/nowhere"}
    assert open_clipboard(empty | OVER_SSH, "linux", ask).data == PNG
    assert open_clipboard(empty | OVER_SSH, "darwin", ask).name == "pasted.png"
    with pytest.raises(PictureError, match="save the picture to a file"):
        open_clipboard(empty | OVER_SSH, "darwin")


def test_a_mac_s_own_clipboard_is_not_read_over_ssh(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "pngpaste").write_text("#!/bin/sh\necho remote\n")
    (folder / "pngpaste").chmod(0o755)
    terminal = Played(kitty())
    found = open_clipboard(
        {"PATH": str(folder)} | OVER_SSH,
        "darwin",
        lambda kinds: terminal.clipboard.read(kinds, lambda done, total: None),
    )
    assert found.data == PNG


# The keyboard


@pytest.fixture
def parser() -> Iterator[XTermParser]:
    textual_fixes.apply()
    yield XTermParser()
    awaited.clear()


def fed(parser: XTermParser, pieces: Sequence[str]) -> tuple[str, list[str]]:
    """Feed the pieces as a driver does: (keys that were typed, packets)."""
    found = [event for piece in pieces for event in (*parser.feed(piece), *parser.tick())]
    keys = [event.character or event.key for event in found if isinstance(event, events.Key)]
    return "".join(keys), [e.packet for e in found if isinstance(e, ClipboardAnswered)]


BODY = f"type=read:status=DATA:id=phichat-1:mime={b64('image/png')};{b64(PNG[:60])}"


@pytest.mark.parametrize("end", ["\x1b\\", "\x07"])
@pytest.mark.parametrize("is_awaited", [True, False])
def test_a_packet_may_be_cut_anywhere(parser: XTermParser, end: str, is_awaited: bool) -> None:
    text = START + BODY + end
    # A single ESC may be held back only while an answer is awaited: it is a key otherwise.
    first = 1 if is_awaited else 3
    if is_awaited:
        awaited.set()
    for cut in range(first, len(text)):
        assert fed(parser, ["a" + text[:cut], text[cut:] + "b"]) == ("ab", [BODY])
    whole = [text[start : start + 7] for start in range(0, len(text), 7)]
    assert fed(parser, whole) == ("", [BODY])


@given(st.lists(st.integers(1, 300), max_size=8), st.text("ab;=\x07", max_size=40))
def test_several_packets_in_any_pieces(cuts: list[int], noise: str) -> None:
    textual_fixes.apply()
    awaited.set()
    parser, text = XTermParser(), f"x{START}{BODY}\x1b\\{START}{BODY}\x07y"
    places = sorted({cut for cut in cuts if cut < len(text)})
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]
    assert fed(parser, pieces) == ("xy", [BODY, BODY])
    fed(parser, [START + noise, "\r"])  # and nothing hangs after noise
    assert fed(parser, ["z"])[0] == "z"
    awaited.clear()


def test_escape_alone_is_a_key_while_an_answer_is_awaited(parser: XTermParser) -> None:
    awaited.set()
    assert fed(parser, ["\x1b"]) == ("", [])
    held = [*parser.tick()]  # a tenth of a second later
    wait_until(lambda: held or held.extend(parser.tick()) or held, "the key")
    assert [event.key for event in held if isinstance(event, events.Key)] == ["escape"]


@pytest.mark.parametrize("key", ["\r", " ", "\x1b[A", "é", "\x03"])
def test_a_packet_without_an_end_ends_with_the_next_key(parser: XTermParser, key: str) -> None:
    assert fed(parser, [START + BODY]) == ("", [])
    before = fed(XTermParser(), [key])
    assert fed(parser, [key]) == before
    assert fed(parser, ["hello"]) == ("hello", [])


def test_a_packet_without_an_end_is_given_up(parser: XTermParser) -> None:
    assert fed(parser, [START + BODY, "abc"]) == ("", [])
    for _ in range(60):
        assert not [*parser.tick()]
    assert fed(parser, ["hello"]) == ("hello", [])


def test_a_packet_has_a_largest_size(parser: XTermParser) -> None:
    keys, packets = fed(parser, [START, *["A" * 4096] * 64, "\x1b\\", "k"])
    assert keys == "k"
    assert [len(packet) <= 1 << 17 for packet in packets] == [True]


# The composer


async def test_ctrl_v_attaches_the_terminal_s_picture(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    answers = [after_the_list("EPERM"), kitty()]
    terminal = Played(lambda kind, number: answers[0](kind, number))
    async with desk.app().run_test(size=NARROW) as pilot:
        # Packets come as the parser gives them to the app.
        composer(pilot).asked_clipboard = terminal.clipboard
        pilot.app._asked_clipboard = terminal.clipboard  # type: ignore[attr-defined]
        terminal.clipboard.limits = (LIMIT_S, LIMIT_S, LIMIT_S)
        terminal.clipboard.take = (  # type: ignore[method-assign]
            lambda packet, take=terminal.clipboard.take: (
                take(packet)
                if threading.current_thread() is threading.main_thread()
                else pilot.app.post_message(ClipboardAnswered(packet))
            )
        )
        await pilot.press("ctrl+v")
        await until(pilot, lambda: notices(pilot), "a sentence")
        assert notices(pilot)[-1].startswith("The terminal refused to have its clipboard read")
        answers.pop(0)
        await pilot.press("ctrl+v")
        names = lambda: [file.name for file in composer(pilot).chips.files]  # noqa: E731
        await until(pilot, lambda: names() == ["pasted.png"], "the chip")
        assert composer(pilot).chips.files[0].data == PNG
        assert not area(pilot).text


def environment(path: Path) -> dict[str, str]:
    """An environment without tools that read the clipboard."""
    return {
        "PHICHAT_HOME": os.environ["PHICHAT_HOME"],
        "PHICHAT_MODEL": "demo",
        "PHICHAT_KEEP_ALIVE": "0",
        "PATH": str(path),
        "DISPLAY": "",
        "WAYLAND_DISPLAY": "",
        "TMUX": "",
    }


def until_asked(terminal: PseudoTerminal, kind: str) -> str:
    """Wait for the question; returns its number."""
    asked = re.compile(b"\x1b]5522;type=read:id=([a-z0-9-]+);" + b64(kind).encode())
    found = asked.search(read_until(terminal.descriptor, asked.search))
    assert found is not None
    return found[1].decode()


def answer(terminal: PseudoTerminal, kind: str, number: str) -> None:
    """Answer in odd pieces."""
    text = "".join(f"{START}{body}\x1b\\" for body in kitty()(kind, number))
    for start in range(0, len(text), 333):
        terminal.write(text[start : start + 333].encode())


def test_an_app_in_a_real_terminal_gets_the_picture_and_types_nothing(tmp_path: Path) -> None:
    """The packets arrive in odd pieces, between keys, and once more when nothing is asked."""
    app = ["-m", "assistant.cli", "chat"]
    with PseudoTerminal(app, environment(tmp_path)) as terminal:
        terminal.read_until(b"Ask about a picture", LIMIT_S)
        terminal.write(b"\x16")
        answer(terminal, ".", until_asked(terminal, "."))
        number = until_asked(terminal, "image/png")
        terminal.write(b"left")
        answer(terminal, "image/png", number)
        terminal.write(b"right")
        terminal.read_until(b"pasted.png", LIMIT_S)
        answer(terminal, "image/png", number)
        terminal.write(b"\x1b[200~ end\x1b[201~")
        terminal.read_until(b"leftright end", LIMIT_S)


@pytest.mark.slow
def test_the_plain_mode_asks_the_terminal_too(tmp_path: Path) -> None:
    """Lines that are typed meanwhile are taken afterwards; a silent terminal is one sentence."""
    app = ["-m", "assistant.cli", "chat", "--plain"]
    with PseudoTerminal(app, environment(tmp_path)) as terminal:
        terminal.read_until(b"You: ", LIMIT_S)
        terminal.write(b"/paste\n")
        answer(terminal, ".", until_asked(terminal, "."))
        number = until_asked(terminal, "image/png")
        terminal.write(b"/attach\n")
        answer(terminal, "image/png", number)
        terminal.read_until(b"Attached 1: pasted.png", LIMIT_S)
        terminal.write(b"/paste\n")
        terminal.read_until(b"This terminal doesn't give programs its clipboard", LIMIT_S)
        terminal.write(b"/off\n")
        terminal.read_until(b"Taken off: pasted.png.", LIMIT_S)
