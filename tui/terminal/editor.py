"""Editing a long message in the user's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from assistant.values.errors import PhichatError
from assistant.values.text import one_line, plain


class EditorError(PhichatError):
    """The editor failed; the text is as it was."""

    code = "editor"


def lend(text: str) -> str | EditorError:
    """Run the editor on ``text`` and return the result, or the error. Never raises."""
    try:
        return edit(text)
    except EditorError as error:
        return error
    except (OSError, ValueError) as error:
        return EditorError(f"The text can't be lent to an editor ({error}); it is as it was.")


def edit(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Run the editor on ``text`` and return the result. Raises EditorError.

    ``$VISUAL``, then ``$EDITOR``, then what the system has.
    """
    command = environ.get("VISUAL") or environ.get("EDITOR") or _usual()
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words:
        raise EditorError("$VISUAL or $EDITOR names no program; your text is as it was.")
    name = one_line(words[0], 40)
    with tempfile.TemporaryDirectory(prefix="phichat-") as folder:
        path = Path(folder) / "message.md"
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*words, str(path)], check=False)
        except OSError:
            raise EditorError(
                f"The editor {name} can't be started; your text is as it was. Set $EDITOR."
            ) from None
        if done.returncode != 0:
            raise EditorError(
                f"The editor {name} ended with code {done.returncode}; your text is as it was."
            )
        try:
            edited = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise EditorError(
                f"What the editor {name} saved can't be read; your text is as it was."
            ) from None
    return plain(edited.removesuffix("\n"))


def _usual() -> str:
    return "notepad" if sys.platform == "win32" else "vi"
