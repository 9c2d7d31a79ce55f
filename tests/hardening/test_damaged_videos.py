"""Damaged videos: frames that can be had are pictures, all else is one sentence."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from assistant.pictures import decode
from assistant.pictures.source import open_each
from assistant.values.errors import PictureError
from tests.hardening.hostile_pictures import damage

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")

KINDS = {
    "mp4": ["-c:v", "libx264"], "mkv": ["-c:v", "libx264"], "webm": ["-c:v", "libvpx"],
    "avi": ["-c:v", "mpeg4"], "mov": ["-c:v", "mjpeg"],
}  # fmt: skip
FEW, MANY = 5, 500


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A second of video in several containers."""
    folder, made = tmp_path_factory.mktemp("videos"), []
    for kind, codec in KINDS.items():
        path = folder / f"clip.{kind}"
        source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=8:duration=1"]
        done = subprocess.run(["ffmpeg", "-v", "error", *source, *codec, path], capture_output=True)
        if done.returncode == 0:  # a build without the codec makes one kind less
            made.append(path)
    assert made
    return made


def outcomes(videos: list[Path], folder: Path, count: int, seed: int) -> Counter[str]:
    found: Counter[str] = Counter()
    chosen = random.Random(seed)
    whole = [path.read_bytes() for path in videos]
    for _ in range(count):
        video = chosen.choice(videos)
        path = folder / f"damaged{video.suffix}"
        path.write_bytes(damage(video.read_bytes(), chosen, whole))
        try:
            for frame in open_each(f"{path}#0,0:00.5"):
                assert decode.pixels(frame.data, (8, 8)).size == (8, 8)
                found["frames"] += 1
        except PictureError as error:
            sentence = str(error)
            assert sentence.isprintable()
            assert sentence.endswith(".")
            found[sentence.partition(" (")[0]] += 1
    return found


def test_damaged_videos_are_frames_or_sentences(videos: list[Path], tmp_path: Path) -> None:
    assert sum(outcomes(videos, tmp_path, FEW, seed=1).values()) >= FEW


@pytest.mark.long
def test_many_damaged_videos_are_frames_or_sentences(videos: list[Path], tmp_path: Path) -> None:
    found = outcomes(videos, tmp_path, MANY, seed=2)
    print(found.most_common())
    assert found["frames"] > MANY / 10
