"""Pictures from the clipboard, through real programs on PATH that stand in for the real tools."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from assistant.pictures.clipboard import open_clipboard
from assistant.values.errors import PictureError
from tests.pictures.picture_files import encoded, flag

Environ = dict[str, str]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "picture").write_bytes(encoded(flag(), "PNG"))
    return folder


def tool(folder: Path, name: str, script: str) -> None:
    """An executable; ``$P`` is a folder with a PNG called picture."""
    path = folder / name
    path.write_text(f"#!/bin/sh\nP='{folder.parent}'\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def environ(folder: Path, **more: str) -> Environ:
    return {"PATH": f"{folder}:/usr/bin:/bin", **more}


def test_wayland(tools: Path) -> None:
    tool(
        tools,
        "wl-paste",
        'case "$*" in\n'
        '"--list-types") echo text/plain; echo image/png;;\n'
        '"--no-newline --type image/png") cat "$P/picture";;\n'
        "*) exit 1;;\nesac",
    )
    file = open_clipboard(environ(tools, WAYLAND_DISPLAY="wayland-0"), "linux")
    assert (file.name, file.media_type) == ("pasted.png", "image/png")
    assert file.data == encoded(flag(), "PNG")


def test_x11_takes_a_type_that_can_be_opened(tools: Path) -> None:
    (tools.parent / "picture").write_bytes(encoded(flag(), "JPEG"))
    tool(
        tools,
        "xclip",
        'case "$*" in\n'
        '"-selection clipboard -out -target TARGETS") echo TARGETS; echo image/x-icon; '
        "echo image/jpeg;;\n"
        '"-selection clipboard -out -target image/jpeg") cat "$P/picture";;\n'
        "*) exit 1;;\nesac",
    )
    assert open_clipboard(environ(tools, DISPLAY=":0"), "linux").name == "pasted.jpeg"


def test_macos_with_and_without_pngpaste(tools: Path) -> None:
    digits = encoded(flag(), "PNG").hex().upper()
    tool(tools, "osascript", f"echo '«data PNGf{digits}»'")
    assert open_clipboard(environ(tools), "darwin").data == encoded(flag(), "PNG")
    tool(tools, "pngpaste", '[ "$1" = - ] && cat "$P/picture"')
    tool(tools, "osascript", "exit 1")
    assert open_clipboard(environ(tools), "darwin").data == encoded(flag(), "PNG")


def test_windows_and_wsl(tools: Path) -> None:
    text = base64.b64encode(encoded(flag(), "PNG")).decode()
    tool(tools, "powershell.exe", f"printf '{text}\\r\\n'")
    for name, more in (("win32", {}), ("linux", {"WSL_DISTRO_NAME": "Debian"})):
        assert open_clipboard(environ(tools, **more), name).data == encoded(flag(), "PNG")


@pytest.mark.parametrize(
    "script", ["exit 1", "echo text/plain", "echo image/png; exit 3"], ids=["fails", "text", "odd"]
)
def test_a_clipboard_without_a_picture_is_said(tools: Path, script: str) -> None:
    tool(tools, "wl-paste", script)
    with pytest.raises(PictureError, match="no picture in the clipboard; copy one"):
        open_clipboard(environ(tools, WAYLAND_DISPLAY="wayland-0"), "linux")


@pytest.mark.parametrize(
    ("more", "platform", "words"),
    [
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", "wl-clipboard"),
        ({"DISPLAY": ":0"}, "linux", "xclip"),
        ({}, "darwin", "pngpaste"),
        ({}, "linux", "save the picture to a file"),
    ],
)
def test_a_missing_tool_is_named(tools: Path, more: Environ, platform: str, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        open_clipboard({"PATH": str(tools), **more}, platform)


def test_a_tool_that_gives_rubbish_is_a_sentence(tools: Path) -> None:
    tool(tools, "pngpaste", "echo rubbish")
    with pytest.raises(PictureError, match="not a picture"):
        open_clipboard(environ(tools), "darwin")
