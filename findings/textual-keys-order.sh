#!/bin/sh
# Textual 8.2.8: keys that a terminal delivers together reach a field out of their order.
#
# Guessed before it was run: what is typed ahead is taken in order, so that "ab", backspace, "c" in
# one read leave "ac", and ctrl+u among letters deletes those before it and keeps those after it.
# Seen: letters are put in at once, keys of the field's own bindings only after the event went up to
# the app and came back, that is after all letters of the read. The four keys leave "ab", and
# "old", ctrl+u, "new" an empty field; with a pause between the keys both are as guessed. In Input
# and in TextArea. A user who types while the app is busy, or over a slow line, sees the same.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'textual==8.2.8'
cat > "$folder/app.py" <<'PYTHON'
import sys

from textual.app import App, ComposeResult
from textual.widgets import Input, TextArea


class Field(App[None]):
    def compose(self) -> ComposeResult:
        yield Input() if sys.argv[1] == "Input" else TextArea()

    def on_mount(self) -> None:
        self.call_after_refresh(lambda: open(sys.argv[2] + ".ready", "w").close())
        self.set_interval(0.1, self.look)

    def look(self) -> None:
        field = self.query_one(sys.argv[1])
        text = field.value if isinstance(field, Input) else field.text
        if "." in text:  # the last key of a test
            with open(sys.argv[2], "w") as file:
                file.write(text)
            self.exit()


Field().run()
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os
import pty
import select
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

folder = Path(sys.argv[1])


def typed(field: str, keys: bytes, pause_s: float) -> str:
    found = folder / f"{field}{pause_s}{keys.hex()}"
    ours, theirs = pty.openpty()
    command = [sys.executable, str(folder / "app.py"), field, str(found)]
    environment = os.environ | {"TERM": "xterm-256color"}
    app = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    def drain(until: float) -> None:
        while time.monotonic() < until:
            with suppress(OSError):  # the app has ended
                if select.select([ours], [], [], 0.05)[0]:
                    os.read(ours, 65536)

    while not Path(f"{found}.ready").exists():
        drain(time.monotonic() + 0.1)
    drain(time.monotonic() + 0.5)
    for one in [keys] if not pause_s else [keys[i : i + 1] for i in range(len(keys))]:
        os.write(ours, one)
        drain(time.monotonic() + pause_s)
    drain(time.monotonic() + 1)
    os.write(ours, b".")
    while app.poll() is None:
        drain(time.monotonic() + 0.1)
    os.close(ours)
    return found.read_text()


print("Textual", version("textual"))
seen = []
for field in ("Input", "TextArea"):
    for keys in (b"ab\x7fc", b"old\x15new"):
        together, apart = typed(field, keys, 0), typed(field, keys, 0.4)
        print(field, keys, "in one read:", repr(together), "one by one:", repr(apart))
        seen += [together, apart]
sys.exit(seen != ["ab.", "ac.", ".", "new."] * 2)
PYTHON
