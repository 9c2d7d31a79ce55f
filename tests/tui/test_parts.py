"""The parts without a screen: cutting, pacing, words, completion, drawing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image

from assistant.pictures.decode import pixels
from assistant.values.events import Progressed, ReplyGrew, Stage
from assistant.values.words import ago, counted, file_size, model_name, short_count
from tests.tui.desk import NOON, png
from tui.slashes import split_slash
from tui.terminal import half_blocks
from tui.widgets.completion import complete_path
from tui.widgets.feed import BASE_INTERVAL, LONGEST_INTERVAL, Feed, TurnOver, next_interval
from tui.widgets.prompt_history import PromptHistory
from tui.widgets.turn_run import progress_words


def test_the_feed_joins_text_and_keeps_the_last_progress() -> None:
    feed = Feed()
    for done in (1, 2, 3):
        feed.put(Progressed(Stage.PREFILL, done, 3))
    for piece in "abc":
        feed.put(ReplyGrew(piece))
    feed.put(TurnOver())
    expected = [Progressed(Stage.PREFILL, 3, 3), ReplyGrew("abc"), TurnOver()]
    assert feed.drain() == expected
    assert feed.drain() == []


def test_the_interval_grows_with_what_a_flush_costs() -> None:
    assert next_interval(0.0) == BASE_INTERVAL
    assert BASE_INTERVAL < next_interval(0.1) < LONGEST_INTERVAL
    assert next_interval(10.0) == LONGEST_INTERVAL


@pytest.mark.parametrize(
    ("past", "words"),
    [
        (timedelta(seconds=5), "now"),
        (timedelta(minutes=5), "5 min"),
        (timedelta(hours=3, minutes=50), "3 h"),
        (timedelta(days=1, hours=3), "yesterday"),
        (timedelta(days=4), "4 days"),
        (timedelta(days=40), "2 Feb"),
        (timedelta(days=400), "Feb 2025"),
        (timedelta(seconds=-30), "now"),
    ],
)
def test_how_long_ago(past: timedelta, words: str) -> None:
    assert ago(NOON - past, NOON) == words


def test_numbers_in_words() -> None:
    assert [counted(n, "picture") for n in (0, 1, 2)] == [
        "0 pictures",
        "1 picture",
        "2 pictures",
    ]
    assert counted(1234, "token") == "1,234 tokens"
    sizes = [
        file_size(n)
        for n in (999, 1500, 999_499, 999_500, 12_345_678, 123_456_789, 999_499_999, 8_290_000_000)
    ]
    assert sizes == ["999 B", "2 kB", "999 kB", "1.0 MB", "12.3 MB", "123 MB", "999 MB", "8.3 GB"]
    assert [short_count(n) for n in (812, 3140, 131072)] == ["812", "3.1k", "131k"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("microsoft/Phi-3-vision-128k-instruct", "Phi-3-vision-128k-instruct"),
        ("/models/phi \x1b[31m3/", "phi 3"),
        ("demo", "demo"),
        ("/", "model"),
    ],
)
def test_a_model_by_its_short_name(model: str, name: str) -> None:
    assert model_name(model) == name


def test_progress_in_words() -> None:
    assert progress_words(Progressed(Stage.PREFILL, 1, 3)) == "reading the chat 33 %"
    assert progress_words(Progressed(Stage.QUEUED)) == "waiting for another chat …"
    assert progress_words(Progressed(Stage.LOADING, 9, 8, "Weights")) == "Weights 100 %"


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_has_words(stage: Stage) -> None:
    assert progress_words(Progressed(stage))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/new", ("/new", "")),
        ("  /attach a b.png ", ("/attach", "a b.png")),
        ("/home/me/a.png what?", None),
        ("/2 cats", None),
        ("no /new", None),
        ("/", None),
        ("/new\nline", None),
    ],
)
def test_what_is_a_command(text: str, command: tuple[str, str] | None) -> None:
    assert split_slash(text) == command


def test_paths_complete_with_blanks_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "A b.PNG").write_bytes(b"")
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    for fragment, completed in (
        (f"{tmp_path}/a", f"{tmp_path}/A\\ b.PNG "),
        (f'"{tmp_path}/A', f'"{tmp_path}/A b.PNG" '),
        (f"{tmp_path}/s", f"{tmp_path}/sub/"),
    ):
        found = complete_path(fragment)
        assert found is not None
        assert found.text == completed
    assert complete_path(f"{tmp_path}/zzz") is None
    assert complete_path(f"{tmp_path}/no/such/folder") is None


def test_prompt_history() -> None:
    history = PromptHistory()
    history.load(["one", "two", "two", " "])
    assert [history.older("now"), history.older("two"), history.older("one")] == [
        "two",
        "one",
        None,
    ]
    assert history.newer("one, changed") == "two"
    assert history.newer("two") == "now"
    assert history.newer("now") is None
    assert history.older("now, and more") == "two"
    assert history.older("two") == "one, changed"  # nothing typed on the way is lost
    history.add("sent")
    assert [history.older(""), history.older("sent"), history.older("two")] == [
        "sent",
        "two",
        "one",
    ]


@pytest.mark.parametrize(
    ("size", "cells"),
    [
        ((640, 480), (37, 14)),
        ((4000, 100), (40, 1)),
        ((100, 4000), (1, 14)),
        ((16, 16), (16, 8)),
        ((1, 1), (1, 1)),
    ],
)
def test_reading_size_keeps_the_aspect_ratio(size: tuple[int, int], cells: tuple[int, int]) -> None:
    assert half_blocks.fit(*size, half_blocks.MOST_COLUMNS, half_blocks.MOST_ROWS) == cells


def colours(data: bytes, columns: int, rows: int) -> list[tuple[int, int, int]]:
    found = []
    for strip in half_blocks.draw(pixels(data, (columns, 2 * rows))):
        for segment in strip:
            assert segment.style is not None
            assert segment.style.color is not None
            assert segment.style.color.triplet is not None
            found.append(tuple(segment.style.color.triplet))
    return found  # type: ignore[return-value]


def test_a_drawing_has_the_picture_s_colours() -> None:
    assert set(colours(png("teal"), 4, 2)) == {(0, 128, 128)}


def test_a_drawing_shows_what_a_person_sees() -> None:
    transparent = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    deep = Image.new("I;16", (8, 8), 32768)
    turned = Image.new("RGB", (8, 4), "red")
    turned.paste("blue", (4, 0, 8, 4))
    exif = turned.getexif()
    exif[0x0112] = 6  # shown turned by 90 degrees: red above, blue below
    for picture, options, expected in (
        (transparent, {}, [(255, 255, 255)] * 2),
        (deep, {}, [(128, 128, 128)] * 2),
        (turned, {"exif": exif}, [(255, 0, 0), (0, 0, 255)]),
    ):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", **options)
        seen = colours(buffer.getvalue(), 1, 2)
        assert seen == expected


def test_the_first_paint_waits_for_nothing_slow(tmp_path: Path) -> None:
    """Run the command until the chat is painted, without the library that parses it."""
    program = """
import sys
from assistant.engine.open import open_engine
from assistant.settings.load import load
from tui.app import PhichatApp
from tui.chat.screen import ChatScreen

app = PhichatApp(open_engine(load()), load())
painted = []

def begin(screen):
    painted.extend(sys.modules)
    app.exit()

ChatScreen._begin = begin
app.run(headless=True)
print(*{name.partition(".")[0] for name in painted})
"""
    modules = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PHICHAT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "textual" in modules
    slow = "torch transformers numpy sqlalchemy alembic PIL textual_image markdown_it pygments "
    slow += "httpx requests tomlkit tqdm"
    assert not set(slow.split()) & set(modules)
