"""Names and paths as other systems write them: macOS's spaces and accents, Windows, data:."""

from __future__ import annotations

import base64
import os
import sys
import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest

from assistant.pictures import data_urls, path_forms
from assistant.pictures.dropped import Dropped, find_dropped
from assistant.pictures.source import open_source
from assistant.values.errors import PictureError
from tests.pictures.picture_files import encoded, flag

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")

FLAG = encoded(flag())
SCREENSHOT = "Screenshot 2024-01-05 at 9.41.00\u202fAM.png"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def there(folder: Path, name: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(FLAG)
    return str(path)


@pytest.mark.parametrize("pair", ["<>", "“”", "‘’", "«»", '""', "''"])
def test_a_path_between_marks_of_any_kind(folder: Path, pair: str) -> None:
    path = there(folder, "my cat.png")
    for words in ("", "What is it?"):
        found = find_dropped(f"{pair[0]}{path}{pair[1]} {words}")
        assert found == Dropped((path,), words)


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        (SCREENSHOT, SCREENSHOT.replace("\u202f", " ")),
        (SCREENSHOT.replace("\u202f", " "), SCREENSHOT),
        ("Foto\xa01.png", "Foto 1.png"),
        ("Foto 1.png", "Foto\u20091.png"),
        (unicodedata.normalize("NFD", "Käse é.png"), "Käse é.png"),
        ("Käse é.png", unicodedata.normalize("NFD", "Käse é.png")),
        ("cat.png", "\u202acat.png"),
        ("한글.png", unicodedata.normalize("NFD", "한글.png")),
        (unicodedata.normalize("NFD", "Bücher 1/Käse\u202f1.png"), "Bücher 1/Käse 1.png"),
    ],
)
def test_a_name_is_found_however_its_spaces_and_accents_are_written(
    folder: Path, stored: str, typed: str
) -> None:
    path = there(folder, stored)
    for form in (typed, f"./{typed}", f"~/{typed}", str(folder / typed)):
        assert open_source(form).data == FLAG
    assert open_source("file://" + quote(str(folder / typed))).data == FLAG
    assert find_dropped(str(folder / typed)) == Dropped((path,))
    assert find_dropped(str(folder / typed).replace(" ", "\\ ")) == Dropped((path,))
    assert find_dropped(f"'{folder / typed}'") == Dropped((path,))
    assert find_dropped(typed) == Dropped((path,))
    assert find_dropped(f"{folder / typed} what is it?") == Dropped((path,), "what is it?")


def test_a_name_that_fits_exactly_comes_first_and_two_that_fit_are_none(folder: Path) -> None:
    exact, other = there(folder, "a b.png"), there(folder, "a\xa0b.png")
    assert find_dropped("a b.png").sources == (exact,)
    assert find_dropped("a\xa0b.png").sources == (other,)
    with pytest.raises(PictureError, match="There is no file"):
        open_source("a\u202fb.png")


def test_names_are_shown_with_composed_accents(folder: Path) -> None:
    path = there(folder, unicodedata.normalize("NFD", "Käse.png"))
    assert open_source(path).name == "Käse.png"


@pytest.fixture
def drives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the drives of Windows."""
    monkeypatch.setattr(path_forms, "_DRIVES", (str(folder / "mnt"),))
    return folder / "mnt"


def test_paths_of_windows_under_wsl(folder: Path, drives: Path) -> None:
    path = there(drives / "c", "Users/Me/my cat.png")
    other = there(drives / "d", "b.png")
    windows = "C:\\Users\\Me\\my cat.png"
    for form in (windows, "c:/Users/Me/my cat.png", "\u202a" + windows):
        assert open_source(form).data == FLAG
        assert find_dropped(form) == Dropped((path,))
    assert open_source("file:///C:/Users/Me/my%20cat.png").data == FLAG
    assert find_dropped(f'"{windows}"') == Dropped((path,))
    assert find_dropped(f'"{windows}" D:\\b.png') == Dropped((path, other))
    assert find_dropped(f"{windows}\r\nD:\\b.png") == Dropped((path, other))
    assert find_dropped(f"{windows} is it a cat?") == Dropped((path,), "is it a cat?")
    assert find_dropped(f'"{windows}" is it a cat?') == Dropped((path,), "is it a cat?")
    with pytest.raises(PictureError, match="There is no file"):
        open_source("C:\\Users\\Me\\other.png")
    assert find_dropped("C:\\Users\\Me\\other.png").sources == ()


def test_files_of_linux_as_windows_names_them(folder: Path) -> None:
    path = there(folder, "my cat.png")
    for share in ("\\\\wsl$\\Ubuntu", "\\\\wsl.localhost\\Ubuntu-24.04", "//wsl.localhost/Debian"):
        form = share + path.replace("/", share[0])
        assert open_source(form).data == FLAG
        assert find_dropped(form) == Dropped((path,))
    assert open_source(f"file://wsl.localhost/Ubuntu{quote(path)}").data == FLAG


def test_a_path_among_words(folder: Path) -> None:
    cat, dog = there(folder, "my cat.png"), there(folder, "dog.JPG")
    escaped = cat.replace(" ", "\\ ")
    for form in (cat, escaped, f"'{cat}'", f'"{cat}"', "~/my cat.png", "./my cat.png"):
        found = find_dropped(f"{form} what is this?")
        assert [os.path.normpath(source) for source in found.sources] == [cat]
        assert found.words == "what is this?"
        assert find_dropped(f"{form}\nwhat is\nthis?").words == "what is\nthis?"
        assert find_dropped(f"What is this? {form}").words == "What is this?"
        assert find_dropped(f"What is this:\n{form}\n").words == "What is this:"
        assert find_dropped(f"What is in {form}?").words == "What is in my cat.png?"
    assert find_dropped(f"{escaped} {dog} which is older?") == Dropped(
        (cat, dog), "which is older?"
    )
    assert find_dropped(f"is {cat} older than {dog}, or not?") == Dropped(
        (cat, dog), "is my cat.png older than dog.JPG, or not?"
    )
    assert find_dropped(f"{dog}: {cat}").words == ""


@pytest.mark.parametrize(
    "text",
    [
        "dog.JPG is the first one",
        "look at dog.JPG",
        "/no/such/dog.png what is it?",
        "what is / and /etc/passwd and ~/ and ../ ?",
        "and/or ./notes.txt",
        "'/a quotation mark alone.png",
        "https://example.org/cat.png and more",
        "data:image/png is a prefix",
        "/ " * 5000,
        "/a.png " * 5000,
    ],
)
def test_other_words_stay_as_they_are(folder: Path, text: str) -> None:
    there(folder, "dog.JPG")
    (folder / "notes.txt").touch()
    assert find_dropped(text) == Dropped((), text)


def data_url(data: bytes = FLAG, kind: str = "image/png;base64") -> str:
    return f"data:{kind},{base64.b64encode(data).decode()}"


def test_data_addresses() -> None:
    plain = data_url()
    lines = "data:image/png;base64,\n" + base64.encodebytes(FLAG).decode()
    urlsafe = "data:;base64," + base64.urlsafe_b64encode(FLAG).decode().rstrip("=")
    percent = "data:image/png," + quote(FLAG)
    forms = (plain, plain.replace("data:", "DATA:"), f" {plain}\n", plain.rstrip("="), lines)
    for form in (*forms, urlsafe, percent, data_url(kind="image/jpeg;charset=x;base64")):
        file = open_source(form)
        assert (file.data, file.name) == (FLAG, "pasted.png")
    for form in (plain, f" {plain}\n", f'"{plain}"', lines):
        (source,) = find_dropped(form).sources
        assert open_source(source).data == FLAG
    assert find_dropped(f"{plain} what is it?") == Dropped((plain,), "what is it?")
    assert find_dropped(f"what is it? {plain}") == Dropped((plain,), "what is it?")


def test_large_data_addresses_are_recognised_and_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    large = "data:image/png;base64," + "A" * (8 << 20)
    assert find_dropped(large).sources == (large,)
    monkeypatch.setattr(data_urls, "MAX_BYTES", 1000)
    with pytest.raises(PictureError, match="address is larger than"):
        open_source(large)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("data:", "no picture in it"),
        ("data:image/png;base64", "no picture in it"),
        ("data:image/png;base64,", "is empty"),
        ("data:image/png;base64,%%%", "cut or damaged"),
        ("data:image/png;base64,A", "cut or damaged"),
        ("data:text/html,<html>", "it is a web page"),
    ],
)
def test_data_addresses_without_a_picture(url: str, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        open_source(url)


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_name_that_is_no_utf8_in_a_file_address(folder: Path) -> None:
    name = os.fsencode(folder) + b"/caf\xe9.png"
    Path(os.fsdecode(name)).write_bytes(FLAG)
    dropped = find_dropped(f"file://{quote(name)}")
    assert [os.fsencode(one) for one in dropped.sources] == [name]
    assert open_source(dropped.sources[0]).data == FLAG


def test_blanks_around_a_path_of_a_script(folder: Path) -> None:
    path = there(folder, "cat.png")
    for text in (f"{path}\n", f" {path}", f"{path} "):
        assert open_source(text).name == "cat.png"
    spaced = there(folder, "cat.png ")
    assert open_source(spaced).name == "cat.png ", "one with a blank is itself"


def test_patterns_that_no_shell_replaced(folder: Path) -> None:
    with pytest.raises(PictureError, match=r"^No file matches \*\.png; check the folder"):
        open_source("*.png")
    there(folder, "a.png")
    there(folder, "b.png")
    with pytest.raises(PictureError, match=r"\*\.png is a pattern that matches 2 files; give each"):
        open_source("*.png")
    there(folder, "*.png")
    assert os.path.basename(open_source("*.png").name) == "*.png"


def test_a_picture_is_found_once_and_not_where_it_is_refused(tmp_path: Path) -> None:
    one, two = (str(tmp_path / name) for name in ("one.png", "two.png"))
    for path in (one, two):
        Path(path).touch()
    often = f"{one} " * 40
    assert find_dropped(often) == Dropped((one,))
    assert find_dropped(f"Is {one} in {one}, as {two}?") == Dropped(
        (one, two), "Is one.png in one.png, as two.png?"
    )
    assert find_dropped(f"Is {one} in {one}, as {two}?", {one}) == Dropped(
        (two,), f"Is {one} in {one}, as two.png?"
    )
    assert find_dropped(f"'{one}' {two}", {one}) == Dropped((two,), one)
    for text in (often, f"'{one}'\n", f"  is {one}?  "):
        assert find_dropped(text, {one}) == Dropped((), text)
    many = [str(tmp_path / f"{number}.png") for number in range(120)]
    for path in many:
        Path(path).touch()
    assert len(find_dropped(f"All: {' '.join(many)}").sources) == 100
