"""Copies in files of what could not be saved when the app ended, brought back when it can be."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from assistant.values.conversation import Draft, PictureFile
from assistant.values.errors import PictureError
from assistant.values.origin import Origin
from assistant.values.region import Region
from assistant.values.text import one_line
from assistant.values.words import counted

MESSAGE = "message.txt"
"""The words, for a person."""
DRAFT = "draft.json"
"""The same for the app: chat, text, and of its pictures files, names, regions and origins."""
BEGINNING = "unsaved-"

_KEPT = ("name", "num_crops", "region", "origin")
"""Fields of a picture that its file does not have."""


def write_aside(drafts: Mapping[str | None, Draft], folder: Path) -> str:
    """Write the draft of each chat and its pictures into a new folder; return a sentence on it."""
    what = f"{counted(len(drafts), 'unsent message')} could not be saved in time"
    aside = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=BEGINNING, dir=folder))
        for number, (session_id, draft) in enumerate(drafts.items(), 1):
            _write(session_id, draft, aside if len(drafts) == 1 else aside / str(number))
    except OSError as error:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        words = "\n\n".join(draft.text for draft in drafts.values())
        return f"{what}, nor written beside ({error.strerror}). The words are:\n{words}"
    return (
        f"{what}, because the database did not answer: the app brings them back when it does, "
        f"and {MESSAGE} in {aside} has the words."
    )


def read_aside(
    session_id: str | None, folder: Path, open_picture: Callable[[str], PictureFile]
) -> Iterator[tuple[Path, Draft]]:
    """Yield what was written aside of a chat, and the folder of each; what can't be read stays."""
    for file in sorted(folder.glob(f"{BEGINNING}*/**/{DRAFT}")):
        with suppress(OSError, ValueError, KeyError, TypeError, PictureError):
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["chat"] == session_id:
                pictures = [
                    replace(
                        open_picture(str(file.parent / one["file"])),
                        name=str(one["name"]),
                        num_crops=one["num_crops"],
                        region=Region(**one["region"]) if one.get("region") else None,
                        origin=Origin(**one["origin"]) if one.get("origin") else None,
                    )
                    for one in kept["pictures"]
                ]
                yield file.parent, Draft(str(kept["text"]), tuple(pictures))


def remove(folder: Path) -> None:
    """Remove the folder of one draft, and the one around it when that was the last."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.name.startswith(BEGINNING):
        with suppress(OSError):
            folder.parent.rmdir()


def _write(session_id: str | None, draft: Draft, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    lines, pictures = [draft.text], []
    for number, file in enumerate(draft.pictures, 1):
        path = folder / f"picture-{number}.{file.media_type.rpartition('/')[2]}"
        path.write_bytes(file.data)
        lines.append(f"[{path.name}: {one_line(file.name)}]")
        every = asdict(file)
        pictures.append({"file": path.name, **{name: every[name] for name in _KEPT}})
    (folder / MESSAGE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    kept = {"chat": session_id, "text": draft.text, "pictures": pictures}
    (folder / DRAFT).write_text(json.dumps(kept), encoding="utf-8")
