"""Refusals: a picture that can't be opened is one plain sentence, quickly and without harm."""

from __future__ import annotations

import os
import struct
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from assistant.pictures import decode
from assistant.pictures.source import open_source
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError
from tests.pictures.picture_files import FORMATS, encoded, flag, png, tiff


def bytes_read() -> int:
    """Bytes that this process has read so far (Linux)."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/io").read_text().split()[1])


def refused(source: str | Path | bytes, name: str | None = None) -> str:
    with pytest.raises(PictureError) as caught:
        open_source(source, name=name)
    sentence = str(caught.value)
    assert sentence.replace("\u200d", "").isprintable()
    assert sentence.endswith(".")
    assert "PIL" not in sentence
    assert caught.value.code == "picture"
    return sentence


def test_a_file_opens_by_path_by_tilde_and_by_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my cät #1?%20.png"
    path.write_bytes(encoded(flag()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    spellings = [path, str(path), f"~/{path.name}", path.name, path.as_uri()]
    spellings += [f"file://localhost{path.as_uri().removeprefix('file://')}"]
    opened = [open_source(spelling) for spelling in spellings]
    assert {(f.name, f.sha256) for f in opened} == {(path.name, opened[0].sha256)}


def test_each_thing_that_is_no_picture_file_has_its_own_sentence(tmp_path: Path) -> None:
    def there(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    assert "There is no file" in refused(tmp_path / "nothing.png")
    assert "nothing.png" in refused(str(tmp_path / "nothing.png"))
    assert "There is no file" in refused(str(there("a.png", b"") / "below a file"))
    assert "There is no file" in refused("x" * 5000)
    assert "is a folder" in refused(tmp_path)
    assert "not a path" in refused("a\0b.png")
    assert "No picture was named" in refused("  ")
    assert "empty.png is empty" in refused(there("empty.png", b""))
    assert "(it is text)" in refused(there("text.png", "ein Wort ä".encode()))
    assert "is damaged" in refused(there("paper.png", b"%PDF-1.7\n\0"))
    assert "(it is an SVG drawing)" in refused(there("a.svg", b"<?xml?>\n<svg></svg>"))
    heic = refused(there("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"))
    assert "a.heic is damaged" in heic or "install pillow-heif" in heic
    assert "can't be fetched" in refused("ftp://example.org/cat.png")
    assert "another machine" in refused("file://elsewhere/cat.png")


KINDS = {
    "a Photoshop file": b"8BPS\0\1",
    "a JPEG XL": b"\xff\x0a\0\0",
    "a JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "an icon": b"\0\0\1\0\3\0\x10\x10",
    "a camera's raw file": b"FUJIFILMCCD-RAW 0201",
    "a medical picture (DICOM)": b"\0" * 128 + b"DICM",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0",
    "a picture of another kind": b"P6 60 40 255\n\xff\0",
    "an archive": b"PK\3\4\x14\0\6\0",
    "what macOS keeps beside a file": b"\0\5\x16\7\0\2\0\0",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_is_instead_is_named(kind: str) -> None:
    assert f"can be opened (it is {kind}); use PNG" in refused(KINDS[kind])


def _frame(marker: int) -> bytes:
    head = struct.pack(">BBHBHHBBBB", 0xFF, marker, 11, 8, 40, 60, 1, 1, 0x11, 0)
    return b"\xff\xd8" + head + b"\xff\xda\0\x08\1\1\0\1\0\0" + b"\0" * 40


def _of_ios() -> bytes:
    """A PNG as Xcode makes it: a chunk of Apple's first, pixels without the head of zlib."""
    rows = b"\0" * 5
    made = png(1, 1, 8, 6, rows, CgBI=b"\x50\0\x20\2").replace(zlib.compress(rows)[:2], b"\0\0")
    return made[:8] + made[33:49] + made[8:33] + made[49:]


def _of_tiff(photometric: int = 1, size: int = 16) -> bytes:
    """A TIFF of 16-bit grey with a second sample, which Pillow has no mode for."""
    return tiff(
        {258: (16, 16), 262: photometric, 277: 2, 279: size, 338: 2}, b"\x80\x40" * 8, (2, 2)
    )


UNCOMMON = {
    "a lossless JPEG": _frame(0xC3),
    "a JPEG-LS": _frame(0xF7),
    "a PNG of an app for iOS": _of_ios(),
    "a TIFF of an uncommon kind": _of_tiff(),
    "a camera's raw file": _of_tiff(32803),
}


@pytest.mark.parametrize("kind", UNCOMMON)
def test_a_whole_file_of_a_kind_that_is_not_decoded_is_not_called_damaged(kind: str) -> None:
    words = f"is {kind}, which can't be opened; save it as PNG in another program."
    assert refused(UNCOMMON[kind]).endswith(words)
    assert "is damaged" in refused(_of_tiff()[:-4]), "cut"
    assert "is damaged" in refused(_of_tiff(size=10**6)), "pixels are missing"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    path.write_bytes(encoded(flag()))
    path.chmod(0)
    assert "may not be read" in refused(path)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_pipes_devices_and_sockets_never_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero", "/dev/tty", "/dev/null"):
        assert "pipe or a device" in refused(path)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert "There is no file" in refused(tmp_path / "circle")


def test_large_files_are_refused_by_their_size_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(200 << 30)  # sparse: no disk is used
    before = bytes_read()
    assert "large.png is larger than 64 MiB" in refused(path)
    assert bytes_read() - before < 1 << 20
    monkeypatch.setattr(decode, "MAX_BYTES", 10)
    assert "is larger than" in refused(encoded(flag()))


def _bomb(width: int, height: int, format: str) -> bytes:
    """A header that claims a size, and hardly any pixels."""
    if format == "PNG":
        return png(width, height, 8, 2, b"\0" * 1000)
    if format == "BMP":
        data = bytearray(encoded(flag(), "BMP"))
        data[18:26] = struct.pack("<ii", width, height)
        return bytes(data)
    if format == "GIF":
        data = bytearray(encoded(flag(), "GIF"))
        data[6:10] = struct.pack("<HH", width, height)
        return bytes(data)
    data = bytearray(encoded(flag(), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "JPEG"])
@pytest.mark.parametrize("size", [(60_000, 60_000), (12_000, 8_000), (8_001, 8_000)])
def test_bombs_are_refused_before_they_are_decoded(size: tuple[int, int], format: str) -> None:
    data = _bomb(*size, format)
    began, before = time.process_time(), _peak_bytes()
    assert "64 million pixels" in refused(data, name="bomb.png")
    assert time.process_time() - began < 1
    assert _peak_bytes() - before < 30 << 20


def _peak_bytes() -> int:
    resource = pytest.importorskip("resource")
    scale = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * scale


@pytest.mark.parametrize("format", FORMATS)
def test_incomplete_pictures_are_refused(format: str) -> None:
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    data = encoded(noise, format)
    for share in (0.3, 0.6):
        assert "cat is damaged" in refused(data[: int(len(data) * share)], name="cat")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_anywhere_opens_or_is_refused_and_never_anything_else(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(FORMATS))
    broken = bytearray(_WHOLE[format])
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with suppress(PictureError):
        file = decode.open_bytes(bytes(broken), name="broken")
        assert decode.pixels(file.data).size == (file.width, file.height)


_WHOLE = {format: encoded(flag(), format) for format in FORMATS}


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_at_all_are_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(PictureError) as caught:
        decode.open_bytes(data, name="bytes")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mred\x1b[0m.png", "\ufffd[31mred\ufffd[0m.png"),
        ("a\nb\u2028.png", "a\ufffdb\ufffd.png"),
        ("gpj.\u202egnp", "gpj.\ufffdgnp"),
        ("\udcff.png", "\ufffd.png"),
        ("👩\u200d🔬.png", "👩\u200d🔬.png"),
        ("katze [bold].png", "katze [bold].png"),
        ("x" * 300 + ".png", "x" * 60 + "…" + "x" * 55 + ".png"),
    ],
)
def test_names_are_shown_without_what_a_terminal_would_obey(name: str, shown: str) -> None:
    assert decode.open_bytes(encoded(flag()), name=name).name == shown
    assert shown in refused(b"text", name=name)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file names")
def test_the_same_goes_for_names_of_files(tmp_path: Path) -> None:
    for name in (b"\xff\xfe.png", b"\x1b]0;x\x07.png"):
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "wb") as file:
            file.write(encoded(flag()))
        assert open_source(os.fsdecode(path)).name.isprintable()
        with open(path, "wb") as file:
            file.write(b"text")
        refused(os.fsdecode(path))


def test_pasted_bytes_are_named_after_their_format() -> None:
    opened: PictureFile = open_source(encoded(flag(), "JPEG"))
    assert opened.name == "pasted.jpeg"
    assert "The pasted picture is empty" in refused(b"")
