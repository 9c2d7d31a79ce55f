"""Films: frames of animated pictures and videos, with times; what is none is one sentence."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from assistant.pictures import decode
from assistant.pictures.decoder.pool import POOL
from assistant.pictures.dropped import find_dropped, parse_dropped
from assistant.pictures.source import open_each, open_source, read_document
from assistant.values.errors import PictureError
from assistant.values.origin import clock, moments_of, split_pages
from tests.pictures.picture_files import encoded

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def shade(data: bytes) -> int:
    value = decode.pixels(data).convert("L").getpixel((3, 3))
    assert isinstance(value, int)
    return value


def animation(format: str, frames: int = 20, duration: int = 100) -> bytes:
    """Frames that become lighter by 10 each."""
    images = [Image.new("RGB", (24, 16), (10 * n,) * 3) for n in range(frames)]
    more = {"lossless": True} if format == "WEBP" else {}
    return encoded(
        images[0], format, save_all=True, append_images=images[1:], duration=duration, **more
    )


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_frames_of_an_animated_picture(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"dance.{format.lower()}"
    path.write_bytes(animation(format))
    frames = list(open_each(path))
    shades = [shade(one.data) for one in frames]
    assert shades == [0, 20, 40, 60, 80, 110, 130, 150, 170]
    assert [one.name for one in frames][:3] == [
        f"{path.name} at 0:00",
        f"{path.name} at 0:00.2",
        f"{path.name} at 0:00.4",
    ]
    seconds = [one.origin.seconds for one in frames if one.origin is not None]
    assert seconds == [0, 0.2, 0.4, 0.6, 0.8, 1.1, 1.3, 1.5, 1.7]
    assert {one.origin.page for one in frames if one.origin is not None} == {0}
    (late,) = open_each(f"{path}#0:01.95")
    assert (shade(late.data), late.name) == (190, f"{path.name} at 0:01.9")
    assert len(list(open_each(f"{path}#0-0.25"))) == 3
    with pytest.raises(PictureError, match="has nothing at 5: it ends at 0:02"):
        next(open_each(f"{path}#5"))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_a_picture_that_does_not_move_is_itself(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"still.{format.lower()}"
    path.write_bytes(encoded(Image.new("RGB", (24, 16), "red"), format))
    (one,) = open_each(path)
    assert (one.data, one.origin) == (path.read_bytes(), None)


def test_a_few_frames_are_all_of_them_and_bytes_are_the_first(tmp_path: Path) -> None:
    data = animation("GIF", frames=3)
    path = tmp_path / "dance.gif"
    path.write_bytes(data)
    assert [shade(one.data) for one in open_each(data, name="a pipe")] == [0, 10, 20]
    assert decode.open_bytes(data).data == data
    assert open_source(path).data == data, "where one picture is wanted it is the file as before"
    film, _ = read_document(str(path))
    assert film.source_of("dance.gif", [1, 3]) == "dance.gif#0:00,0:00.2"


def test_an_animation_cut_short_is_what_its_first_frame_shows(tmp_path: Path) -> None:
    path = tmp_path / "cut.gif"
    data = animation("GIF")
    path.write_bytes(data[: len(data) // 2])
    (one,) = open_each(path)
    assert (one.origin, one.data) == (None, path.read_bytes())
    with pytest.raises(PictureError, match=r"cut\.gif is damaged"):
        next(open_each(f"{path}#0:01"))


@pytest.mark.parametrize(
    ("typed", "moments"),
    [
        ("5", [5]),
        ("0:05.5", [5.5]),
        ("1:00:00", [3600]),
        ("8,2", [8, 2]),
        ("0-9", [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]),
        ("3590-", [3590.6, 3591.7, 3592.8, 3593.9, 3595, 3596.1, 3597.2, 3598.3, 3599.4]),
    ],
)
def test_moments_that_are_typed(typed: str, moments: list[float]) -> None:
    assert moments_of(typed, 3600, "a.mp4") == moments
    assert split_pages(f"a.mp4#{typed}") == split_pages(f"a.mp4#t={typed}") == ("a.mp4", typed)
    assert [moments_of(clock(one), 3600, "a.mp4") for one in moments] == [[one] for one in moments]


def test_without_any_they_are_spread_over_the_whole() -> None:
    assert moments_of("", 18, "a.mp4") == [1, 3, 5, 7, 9, 11, 13, 15, 17]
    assert moments_of("", 0, "a.mp4") == [0]


# Videos


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine seconds that become lighter by 20 each, of 64 x 48 pixels."""
    path = tmp_path_factory.mktemp("films") / "clip.mp4"
    light = "geq=lum='40+20*floor(T)':cb=128:cr=128"
    source = f"color=black:size=64x48:rate=5:duration=9,{light}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", path],
        check=True,
    )
    return path


@needs_ffmpeg
def test_frames_of_a_video(clip: Path) -> None:
    frames = list(open_each(clip))
    assert [one.name for one in frames] == [f"clip.mp4 at 0:0{n}.5" for n in range(9)]
    shades = [shade(one.data) for one in frames]
    steps = [late - early for early, late in itertools.pairwise(shades)]
    assert all(15 < step < 30 for step in steps), shades
    assert {(one.width, one.height, one.media_type) for one in frames} == {(64, 48, "image/png")}
    (one,) = open_each(f"{clip}#0:03.5")
    assert one.pixels_sha256 == frames[3].pixels_sha256
    assert open_source(clip).name == "clip.mp4 at 0:00.5"
    assert [one.name for one in open_each(clip.read_bytes(), name="a pipe")][:1] == [
        "a pipe at 0:00.5"
    ]


@needs_ffmpeg
def test_what_is_no_video_is_one_sentence_and_no_playlist_is_followed(
    clip: Path, tmp_path: Path
) -> None:
    playlist = f"#EXTM3U\n#EXTINF:9,\nfile://{clip}\n#EXT-X-ENDLIST\n"
    for name, data in (
        ("cut.mp4", clip.read_bytes()[:500]),
        ("text.mov", b"ein Wort"),
        ("list.mp4", playlist.encode()),
        ("concat.mkv", f"ffconcat version 1.0\nfile {clip}\n".encode()),
        ("empty.webm", b""),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(PictureError, match=rf"{name} is damaged, or no video"):
            next(open_each(path))
    with pytest.raises(PictureError, match=r"There is no file .*none\.mp4; check"):
        next(open_each(tmp_path / "none.mp4"))
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(PictureError, match="is a folder"):
        next(open_each(tmp_path / "folder.mp4"))


def test_without_ffmpeg_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom")
    POOL.close()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        with pytest.raises(PictureError, match=r"clip\.mp4 is a video: install ffmpeg"):
            next(open_each(path))
    finally:
        POOL.close()


def test_videos_are_dropped_and_typed_as_pictures_are(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"")
    span = f"{path}#0:05-0:12.5"
    assert parse_dropped(f"{path} {span}") == [str(path), span]
    found = find_dropped(f"{span} what happens?")
    assert (found.sources, found.words) == ((span,), "what happens?")
