"""Copies in files of what could not be saved when the app ended."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from assistant.values.conversation import Draft
from assistant.values.text import one_line
from assistant.values.words import counted

MESSAGE = "message.txt"


def write_aside(drafts: Sequence[Draft], folder: Path) -> str:
    """Write each draft and its pictures into a new folder; return a sentence about it."""
    what = f"{counted(len(drafts), 'unsent message')} could not be saved in time"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix="unsaved-", dir=folder))
        for number, draft in enumerate(drafts, 1):
            _write(draft, aside if len(drafts) == 1 else aside / str(number))
    except OSError as error:
        words = "\n\n".join(draft.text for draft in drafts)
        return f"{what}, nor written beside ({error.strerror}). The words are:\n{words}"
    return f"{what}, because the database did not answer: {MESSAGE} in {aside} has the words."


def _write(draft: Draft, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    lines = [draft.text]
    for number, file in enumerate(draft.pictures, 1):
        path = folder / f"picture-{number}.{file.media_type.rpartition('/')[2]}"
        path.write_bytes(file.data)
        lines.append(f"[{path.name}: {one_line(file.name)}]")
    (folder / MESSAGE).write_text("\n".join(lines) + "\n", encoding="utf-8")
