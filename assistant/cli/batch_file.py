"""The file of a batch: a line a picture, kept as they come, put in order at the end.

While a batch runs, its lines stand in ``FILE.part``, each on disk before the next picture is begun.
At the end they become FILE, in the order of the pictures. What either holds is never asked again,
and never lost to a batch with another question.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from assistant.values.errors import PhichatError
from assistant.values.words import counted

Line = dict[str, Any]
SUFFIXES = (".jsonl", ".csv")
Place = tuple[BinaryIO, int]
"""A file, and where in it a line begins."""

COLUMNS = ("picture", "text", "finish_reason", "error", "model", "sha256", "key")
"""Columns of a CSV file; those of the schema's fields stand between the first and the second."""


class BatchFile:
    """Answers to a question by their keys; only their places are in memory.

    ``question`` begins those keys. Raises PhichatError, also where the file holds answers to
    another question: those are lost only with ``overwrite``.
    """

    def __init__(self, path: Path, question: str, *, overwrite: bool = False) -> None:
        self.path, self._question = path, question
        self._part_path = path.with_name(f"{path.name}.part")
        self._places: dict[str, list[Place]] = {}
        """Answers by their keys: several where pictures have the same pixels."""
        self._keys: dict[str, str] = {}
        """By the hash of a picture's file."""
        self._strangers = 0
        """Answers to other questions."""
        self._done: BinaryIO | None = None
        try:
            self._part = self._part_path.open("a+b")
        except OSError as error:
            raise PhichatError(f"{path} can't be written ({error.strerror}).") from None
        try:
            fcntl.flock(self._part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read_both()
            if self._strangers and not overwrite:
                raise PhichatError(
                    f"{path} holds {counted(self._strangers, 'answer')} to another question, or of "
                    "another model or other settings: choose another name with -o, or add "
                    "--overwrite to lose them."
                )
        except BlockingIOError:
            self.close()
            raise PhichatError(f"Another batch writes to {path}: wait for its end.") from None
        except BaseException:
            self.close()
            raise

    def _read_both(self) -> None:
        self._read(self._part)
        if not os.path.exists(self.path):
            return
        if not is_csv(self.path):
            self._done = self.path.open("rb")
            self._read(self._done)
            return
        before = set(self._places)
        with self.path.open(encoding="utf-8", newline="") as file:
            for line in _lines_of_csv(file):
                if not self._is_own(line):
                    self._strangers += 1
                elif line["key"] not in before:
                    self.add(line)

    def close(self) -> None:
        """Release the file; what it holds stays for the next time, an empty one does not."""
        with suppress(OSError):
            if not self._part_path.stat().st_size:
                self._part_path.unlink()
        for file in filter(None, (self._done, self._part)):
            with suppress(OSError):  # what could not be written is tried again, and was said
                file.close()

    def find(self, name: str) -> Place | None:
        """Return the place of the answer about a picture, by the hash of its pixels or its file."""
        places = self._places.get(self._keys.get(name, f"{self._question}-{name}"))
        return places[-1] if places else None

    def others(self, places: Iterable[Place]) -> list[Place]:
        """List the places of the answers about other pictures, in the order of their first ones."""
        wanted = set(places)
        others = (found for found in self._places.values() if wanted.isdisjoint(found))
        return list(chain.from_iterable(others))

    def read(self, place: Place) -> Line:
        """Read the line at a place."""
        file, at = place
        file.seek(at)
        line: Line = json.loads(file.readline())
        return line

    def add(self, line: Line) -> Place:
        """Put a line on disk; returns its place."""
        self._part.seek(0, os.SEEK_END)
        place = self._part, self._part.tell()
        with self._named():
            self._part.write(encoded(line))
            self._part.flush()
            os.fsync(self._part.fileno())
        self._note(line, place)
        return place

    def finish(self, lines: Iterable[Line], fields: Sequence[str]) -> None:
        """Write the whole file in the order of ``lines``, and let go of the unordered one."""
        new = self.path.with_name(f"{self.path.name}.new")
        with self._named(), new.open("wb") as file:
            for piece in _as_csv(lines, fields) if is_csv(self.path) else map(encoded, lines):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        self._part_path.unlink(missing_ok=True)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which file it is that can't be written."""
        try:
            yield
        except OSError as error:
            raise PhichatError(
                f"{self.path} can't be written ({error.strerror}): make room, then the same "
                "command goes on."
            ) from None

    def _note(self, line: Line, place: Place) -> None:
        """Note the place of an answer by the hash of the pixels, and by that of the file."""
        if self._is_own(line):
            self._places.setdefault(line["key"], []).append(place)
            self._keys[str(line.get("sha256"))] = line["key"]
        else:
            self._strangers += isinstance(line.get("key"), str)

    def _is_own(self, line: Line) -> bool:
        key = line.get("key")
        return isinstance(key, str) and key.partition("-")[0] == self._question

    def _read(self, file: BinaryIO) -> None:
        """Note the places of whole lines; half a line at the end, of a process killed, is cut."""
        file.seek(0)
        at = 0
        for data in file:
            if not data.endswith(b"\n"):
                if file is self._part:
                    file.truncate(at)
                break
            try:
                self._note(json.loads(data), (file, at))
            except (ValueError, AttributeError, RecursionError):
                raise PhichatError(
                    f"{file.name} is no file of a batch: choose another name with -o."
                ) from None
            at += len(data)


def is_csv(path: Path) -> bool:
    """Say whether the name of a file wants CSV."""
    return path.suffix.lower() == ".csv"


def encoded(line: Mapping[str, Any]) -> bytes:
    """Encode a line of JSON; bytes of a file's name that are no UTF-8 stay readable."""
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _as_csv(lines: Iterable[Line], fields: Sequence[str]) -> Iterator[bytes]:
    """Yield rows: a schema's fields as columns, what is no text in them as JSON."""
    first, *rest = COLUMNS
    yield _row([first, *fields, *rest])
    for line in lines:
        value = line.get("value")
        inner = value if isinstance(value, dict) else {}
        error = line.get("error")
        others = {**line, "error": error["message"] if error else None}
        yield _row(
            [line[first], *(_cell(inner.get(name)) for name in fields)]
            + [_cell(others.get(name)) for name in rest]
        )


def _row(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines_of_csv(file: TextIO) -> Iterator[Line]:
    """Yield the answers of a CSV file as lines."""
    csv.field_size_limit(1 << 30)
    rows = csv.DictReader(file)
    if not set(COLUMNS) <= set(rows.fieldnames or ()):
        raise PhichatError(f"{file.name} is no file of a batch: choose another name with -o.")
    fields = [name for name in rows.fieldnames or () if name not in COLUMNS]
    for row in rows:
        if row["key"]:
            line = {name: row[name] for name in COLUMNS if name != "error"}
            yield with_read_value(line) if fields else line


def with_read_value(line: Line) -> Line:
    """Return a line with its text, which obeys a schema, as a value; half a one stays text."""
    try:
        return with_value(line, json.loads(line["text"]))
    except (ValueError, RecursionError):
        return line


def with_value(line: Line, value: object) -> Line:
    """Return a line with the value that its text is."""
    return {"picture": line["picture"], "text": line["text"], "value": value, **line}
