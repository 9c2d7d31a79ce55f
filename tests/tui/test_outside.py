"""The clipboard's tools and the person's editor: real programs on PATH stand in for them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.tui.desk import NARROW, WIDE, Desk, area, composer, notices, png, sees, until
from tui.terminal import clipboard
from tui.terminal.editor import EditorError, edit


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def tool(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("name", "more", "platform"),
    [
        ("wl-copy", {"WAYLAND_DISPLAY": "wayland-0"}, "linux"),
        ("xclip", {"DISPLAY": ":0"}, "linux"),
        ("pbcopy", {}, "darwin"),
        ("clip.exe", {"WSL_DISTRO_NAME": "Debian"}, "linux"),
    ],
)
def test_each_platforms_tool_gets_the_text(
    tools: Path, name: str, more: dict[str, str], platform: str
) -> None:
    environ = {"PATH": f"{tools}:/usr/bin:/bin", **more}
    assert not clipboard.copy("text", environ, platform)
    tool(tools, name, f"cat > '{tools}/got'")
    assert clipboard.copy("two\nlines ä", environ, platform)
    encoding = "utf-16" if name == "clip.exe" else "utf-8"
    assert (tools / "got").read_bytes().decode(encoding) == "two\nlines ä"
    tool(tools, name, "exit 1")
    assert not clipboard.copy("text", environ, platform)


@pytest.mark.parametrize("knows", ["-w", "-"])
def test_tmux_gets_the_text_into_its_buffer(tools: Path, knows: str) -> None:
    """As it comes, it drops OSC 52; before 3.2 it knew no ``-w``."""
    environ = {"PATH": str(tools), "TMUX": "/tmp/tmux-0/default,1,0"}
    assert clipboard.copy("text", environ, "linux") == ""
    tool(
        tools, "tmux", f"[ $2 = '{knows}' ] || exit 1; [ $1 = load-buffer ] && cat > '{tools}/got'"
    )
    assert clipboard.copy("two\nlines ä", environ, "linux") == "tmux"
    assert (tools / "got").read_text() == "two\nlines ä"


def test_a_tool_of_a_machine_without_a_user_is_not_asked(tools: Path) -> None:
    tool(tools, "pbcopy", "exit 0")
    environ = {"PATH": f"{tools}:/usr/bin:/bin", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}
    assert not clipboard.copy("text", environ, "darwin")


def test_a_tool_that_stays_behind_is_not_waited_for(tools: Path) -> None:
    """As xclip does, which serves the clipboard from the background with its output open."""
    tool(tools, "xclip", f"cat > '{tools}/got'\nsleep 30 &\necho $! > '{tools}/pid'")
    environ = {"PATH": f"{tools}:/usr/bin:/bin", "DISPLAY": ":0"}
    assert clipboard.copy("text", environ, "linux")
    import os

    os.kill(int((tools / "pid").read_text()), 15)


def test_the_editor_gets_the_text_and_what_it_saves_comes_back(tools: Path) -> None:
    editor = tool(tools, "my editor", 'sed -i \'s/old/new/\' "$2"; echo more >> "$2"')
    assert edit("an old text", {"EDITOR": f"'{editor}' --wait"}) == "an new textmore"
    assert edit("old", {"VISUAL": f"'{editor}' -w", "EDITOR": "no-such"}).startswith("new")


@pytest.mark.parametrize(
    ("command", "words"),
    [("no-such-editor", "can't be started"), ("false", "ended with code 1"), ("'", "no program")],
)
def test_an_editor_that_fails_says_so(command: str, words: str) -> None:
    with pytest.raises(EditorError, match=words):
        edit("text", {"EDITOR": command})


async def test_the_message_is_written_in_the_editor_and_a_failure_loses_nothing(
    desk: Desk, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tool(tools, "editor", 'printf "\\nand more" >> "$1"')
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press(*"begun", "ctrl+g")
        await until(pilot, lambda: notices(pilot), "headless terminals can't be lent")
        assert area(pilot).text == "begun"
        monkeypatch.setattr(pilot.app, "suspend", contextlib.nullcontext)
        monkeypatch.setenv("VISUAL", "false")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "ended with code 1" in notices(pilot)[-1], "a word")
        assert area(pilot).text == "begun"
        monkeypatch.setenv("VISUAL", str(editor))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: area(pilot).text == "begun\nand more", "the new text")


async def test_the_clipboards_picture_is_attached(
    desk: Desk, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tools / "picture").write_bytes(png())
    kinds = f"[ \"$1\" = --list-types ] && echo image/png || cat '{tools}/picture'"
    tool(tools, "wl-paste", kinds)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+v")
        await sees(pilot, "pasted.png")
        area(pilot).set_text("/paste")
        await pilot.press("enter")
        await until(pilot, lambda: len(composer(pilot).chips.files) == 2, "both")
        await until(pilot, lambda: notices(pilot), "that it is there twice")
        tool(tools, "wl-paste", "exit 1")
        await pilot.press("ctrl+v")
        await until(pilot, lambda: len(notices(pilot)) == 2, "a word")
        assert "There is no picture in the clipboard; copy one first." in notices(pilot)
        pilot.app._clipboard = "copied here"
        await pilot.press("ctrl+v")
        await until(pilot, lambda: area(pilot).text == "copied here", "the text instead")
