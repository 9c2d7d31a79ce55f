"""Pictures in the system's clipboard, read with its own tools, or by the terminal."""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from assistant.pictures.decode import MEDIA_TYPES, open_bytes
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError

TIMEOUT_S = 10.0
"""Longest wait for a tool, in seconds: PowerShell takes a few to start."""

_POWERSHELL = (
    "$p = Get-Clipboard -Format Image; if ($p -eq $null) { exit 1 }; "
    "$m = New-Object IO.MemoryStream; $p.Save($m, [Drawing.Imaging.ImageFormat]::Png); "
    "[Convert]::ToBase64String($m.ToArray())"
)
_OSASCRIPT = "get the clipboard as «class PNGf»"
_HEX = re.compile("«data PNGf([0-9A-Fa-f]+)»".encode())


AskTerminal = Callable[[Sequence[str]], bytes]
"""Reads a picture of the first of these media types in the terminal's clipboard, which is that of
the user's machine over ssh too. Raises PictureError."""
_Read = Callable[[str], bytes | None]
"""Program's path -> the bytes of a picture; None where the clipboard has none."""


def open_clipboard(
    environ: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
    ask_terminal: AskTerminal | None = None,
) -> PictureFile:
    """Open the picture in the clipboard; ask the terminal where no tool can read it.

    Raises PictureError when there is none, or nothing to read it with.
    """
    tried = False
    for program, read in _tools(environ, platform):
        if path := shutil.which(program, path=environ.get("PATH")):
            tried = True
            if data := read(path):
                return open_bytes(data)
    if tried:
        raise PictureError("There is no picture in the clipboard; copy one first.")
    if ask_terminal is not None:
        return open_bytes(ask_terminal(tuple(MEDIA_TYPES.values())))
    raise PictureError(f"The clipboard can't be read here; {_advice(environ, platform)}.")


def _tools(environ: Mapping[str, str], platform: str) -> Iterator[tuple[str, _Read]]:
    # Over ssh the clipboards of macOS and Windows are those of the remote machine.
    remote = bool(environ.get("SSH_CONNECTION"))
    if platform == "darwin" and not remote:
        yield "pngpaste", lambda path: _output([path, "-"])
        yield "osascript", _osascript
    if environ.get("WAYLAND_DISPLAY"):
        yield "wl-paste", _wl_paste
    if environ.get("DISPLAY"):
        yield "xclip", _xclip
    if (platform == "win32" or environ.get("WSL_DISTRO_NAME")) and not remote:
        yield "powershell.exe", _powershell


def _advice(environ: Mapping[str, str], platform: str) -> str:
    if environ.get("WAYLAND_DISPLAY"):
        return "install wl-clipboard (it brings wl-paste)"
    if environ.get("DISPLAY"):
        return "install xclip"
    if platform == "darwin" and not environ.get("SSH_CONNECTION"):
        return "install pngpaste"
    return "save the picture to a file and attach that"


def _wl_paste(path: str) -> bytes | None:
    kind = _picture_type(_output([path, "--list-types"]))
    return _output([path, "--no-newline", "--type", kind]) if kind else None


def _xclip(path: str) -> bytes | None:
    command = [path, "-selection", "clipboard", "-out", "-target"]
    kind = _picture_type(_output([*command, "TARGETS"]))
    return _output([*command, kind]) if kind else None


def _picture_type(listed: bytes | None) -> str | None:
    """Return the first of the listed media types that can be opened; PNG before lossy ones."""
    kinds = (listed or b"").decode("utf-8", "replace").split()
    return next((kind for kind in MEDIA_TYPES.values() if kind in kinds), None)


def _osascript(path: str) -> bytes | None:
    found = _HEX.search(_output([path, "-e", _OSASCRIPT]) or b"")
    return bytes.fromhex(found[1].decode()) if found and len(found[1]) % 2 == 0 else None


def _powershell(path: str) -> bytes | None:
    text = _output([path, "-NoProfile", "-STA", "-Command", _POWERSHELL])
    try:
        return base64.b64decode(text or b"")
    except binascii.Error:
        return None


def _output(command: list[str]) -> bytes | None:
    """Return a tool's output; None when it fails, as it does when the clipboard has no picture."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
