"""Dropped files are not taken for pasted text, however a terminal writes their paths."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from assistant.pictures.dropped import parse_dropped

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths and quoting")

NAMES = [
    "cat.png",
    "my cat.JPG",
    "it's.webp",
    'say "hi".gif',
    "a\\b.bmp",
    "$HOME & (1) #2.tiff",
    "ä🐈.avif",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with some pictures in it; none is ever opened here."""
    for name in NAMES:
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def backslashed(path: str) -> str:
    """As kitty, iTerm and macOS write a dropped path."""
    return re.sub(r"([^\w/.-])", r"\\\1", path)


def double_quoted(path: str) -> str:
    return '"' + re.sub(r'(["\\$`])', r"\\\1", path) + '"'


QUOTED = [shlex.quote, backslashed, double_quoted, lambda path: Path(path).as_uri()]


@pytest.mark.parametrize("quote", QUOTED)
@pytest.mark.parametrize("between", [" ", "\n", "  \r\n", " \n\n"])
def test_dropped_files_come_out_as_they_went_in(folder: Path, quote: object, between: str) -> None:
    paths = [str(folder / name) for name in NAMES]
    text = between.join(quote(path) for path in paths)  # type: ignore[operator]
    assert parse_dropped(text) == paths
    assert parse_dropped(f"\n{text} \n") == paths
    for path in paths:
        assert parse_dropped(quote(path)) == [path]  # type: ignore[operator]


def test_paths_without_any_quotes(folder: Path) -> None:
    paths = [str(folder / name) for name in NAMES]
    for path in paths:
        assert parse_dropped(path) == [path]
    assert parse_dropped("\n".join(paths)) == paths
    assert parse_dropped(f"cat.png {shlex.quote('my cat.JPG')}") == paths[:2]
    assert parse_dropped("my cat.JPG\n'cat.png'  cat.png") == [paths[1], paths[0], paths[0]]


@given(st.data())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_names_survive_quoting(folder: Path, data: st.DataObject) -> None:
    characters = st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"])
    stems = st.text(characters, min_size=1, max_size=12)
    paths = [
        str(folder / (stem + suffix))
        for stem, suffix in data.draw(
            st.lists(
                st.tuples(stems, st.sampled_from([".png", ".JPEG", ""])), min_size=1, max_size=4
            )
        )
        if stem not in (".", "..")
    ]
    for path in paths:
        Path(path).touch()
    between = data.draw(st.sampled_from([" ", "\n", "\n\n"]))
    assert parse_dropped(between.join(map(shlex.quote, paths))) == paths
    assert parse_dropped(between.join(Path(path).as_uri() for path in paths)) == paths


def test_a_tilde_is_the_home_folder_and_other_files_need_a_full_path(folder: Path) -> None:
    (folder / "notes").touch()
    (folder / "~").mkdir()
    (folder / "~" / "own.png").touch()
    assert parse_dropped("~/cat.png") == [str(folder / "cat.png")]
    assert parse_dropped("'~/own.png'") == [str(folder / "~" / "own.png")]
    assert parse_dropped("./cat.png") == [os.path.join(str(folder), "./cat.png")]
    assert parse_dropped("notes") == []
    (folder / "drawing.SVG").touch()  # attached, so that its kind is said: it was sent as words
    assert parse_dropped("drawing.SVG") == [str(folder / "drawing.SVG")]
    assert parse_dropped("other.svg") == []
    assert parse_dropped(str(folder / "notes")) == [str(folder / "notes")]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/cat.png",
        "http://example.org/a/b/CAT.JPEG?size=large#top",
        "https://example.org:8080/%20.webp",
    ],
)
def test_addresses_of_pictures(folder: Path, url: str) -> None:
    assert parse_dropped(url) == [url]
    assert parse_dropped(f"{url}\ncat.png") == [url, str(folder / "cat.png")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "What is this?",
        "cat.png is the first one",
        "look at cat.png",
        "'cat.png",
        "cat.png 'my cat.JPG",
        "missing.png",
        "cat.png missing.png",
        "cat.png\nWhat is this?",
        "it's",
        "/",
        "~",
        ".",
        "file:///",
        "file:cat.png",
        "file://elsewhere/cat.png",
        "https://example.org/",
        "https://example.org/page.html",
        "https://example.org/cat.png and more",
        "https:///cat.png",
        "see https://example.org/cat.png",
        "http://[::1/cat.png",
        "a\0b.png",
        "x" * 100_000,
        "cat.png " * 200,
    ],
)
def test_ordinary_text_stays_text(folder: Path, text: str) -> None:
    assert parse_dropped(text) == []


def test_folders_and_pipes_are_not_dropped_pictures(folder: Path) -> None:
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    assert parse_dropped(str(folder / "folder.png")) == []
    assert parse_dropped(str(folder / "pipe.png")) == []
