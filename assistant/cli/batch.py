"""``phichat batch``: one question about many pictures, a line for each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assistant.cli import completion_words as completing
from assistant.cli.batch_file import (
    SUFFIXES,
    BatchFile,
    Line,
    Place,
    encoded,
    with_read_value,
    with_value,
)
from assistant.cli.common import opened_engine, start_decoding
from assistant.cli.document_passwords import ask_no_more
from assistant.cli.errors import StoppedError
from assistant.cli.options import (
    TEXT,
    engine_options,
    model_option,
    sampling_options,
    taken_sampling,
)
from assistant.values.conversation import FinishReason
from assistant.values.errors import ModelError, PhichatError, PictureError
from assistant.values.sampling import Parameters, Sampling
from assistant.values.schema_fit import checked
from assistant.values.text import one_line
from assistant.values.words import counted, duration

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.values.conversation import PictureFile

PATIENCE = 3
"""Answers in a row that fail because of the model: then the batch stops, the next would too."""
BAR = 20
"""Cells of the progress bar."""


@click.command()
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="A .jsonl or .csv file; what it holds already is not asked again. "
    "Otherwise lines of JSON go to standard output.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Lose what FILE holds for another question.")
@click.option("--system", metavar="TEXT", type=TEXT, help="What the model reads first.")
@model_option
@sampling_options
@engine_options
@click.argument("question", metavar="QUESTION", type=TEXT)
@click.argument(
    "sources", metavar="FOLDER|PICTURE...", nargs=-1, required=True,
    shell_complete=completing.pictures,
)  # fmt: skip
def batch(
    question: str,
    sources: tuple[str, ...],
    output: Path | None,
    overwrite: bool,
    system: str | None,
    **chosen: Any,
) -> None:
    """Ask one question about every picture of a folder; a line for each.

    Pictures come in the order of their names, those of folders within too. No
    chat is stored. A picture that can't be opened is a line with its error.
    Ctrl-C, a crash or kill -9 loses the answer in work at most: the same
    command goes on, and asks nothing that FILE (or FILE.part, while it runs)
    holds of the same pixels, question, model and settings; what it holds of
    pictures that are not named now stays behind them. Each page of a PDF is
    a picture, and so are nine frames of a video.

    \b
    phichat batch "What is this?" photos/ -o answers.jsonl
    phichat batch "Read this bill." bills/ --schema "shop, day date, total float" -o bills.csv
    phichat batch "Is anybody in it?" *.jpg --schema "anybody bool" | jq -r .picture
    """
    sampling = taken_sampling(chosen)
    if output is not None and output.suffix.lower() not in SUFFIXES:
        name = one_line(output.name)
        raise click.UsageError(f"answers are written to .jsonl or .csv, and {name} ends in neither")
    if not question.strip():
        raise click.UsageError("give a question")
    names = list(_pictures(sources))
    if not names:
        raise PhichatError("There is no picture in this folder: name another, or files.")
    start_decoding()
    with opened_engine(system=system, **chosen) as (engine, _):
        names = [one for name in names for one in _pages(engine, name)]
        ask_no_more()  # a batch that has begun waits for no user
        flags = {name: value for name, value in sampling.items() if value != ()}
        work = Batch(engine, question, engine.model.sampling(Parameters(**flags)))
        if output is None:
            failed = work.print(names)
        else:
            with closing(BatchFile(output.expanduser(), work.key, overwrite=overwrite)) as file:
                failed = work.write(names, file)
    if failed:
        click.echo(f"{counted(failed, 'picture')} of {len(names):,} failed.", err=True)
        sys.exit(1)


def _pictures(sources: Iterable[str]) -> Iterator[str]:
    """Yield the pictures of folders by name, folders within them last, and files as given."""
    from assistant.pictures.dropped import SUFFIXES

    for source in sources:
        if not os.path.isdir(source):
            yield source
            continue
        for folder, folders, files in os.walk(source):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            for name in sorted(files):
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                    yield os.path.join(folder, name)


def _pages(engine: Engine, name: str) -> Iterator[str]:
    """Yield the pages of a document, or frames of a video, each as a source of its own.

    Anything else comes as it is: an animated picture is its first frame.
    """
    from assistant.pictures.dropped import DOCUMENT_SUFFIXES, TIFF_SUFFIXES, VIDEO_SUFFIXES
    from assistant.values.origin import split_pages
    from assistant.values.region import split_region

    whole, part = split_region(name)
    path = name if os.path.exists(name) else split_pages(whole)[0]
    several = DOCUMENT_SUFFIXES | TIFF_SUFFIXES | VIDEO_SUFFIXES
    if os.path.splitext(path)[1].lower() not in several:
        yield name
        return
    try:
        document, typed = engine.pictures.read_document(name if path == name else whole)
        for page in document.pages(typed):
            yield document.source_of(path, [page]) + (f"@{part}" if part and path != name else "")
    except PictureError:
        yield name  # it is one picture, or a line with the error


class Batch:
    """One question, one model, one set of parameters."""

    def __init__(self, engine: Engine, question: str, sampling: Sampling) -> None:
        settings = engine.model.settings
        self._engine, self._question, self._sampling = engine, question, sampling
        self._model = engine.model.facts().name  # raises before the first picture is opened
        engine.model.check(sampling)
        asked = [
            question, settings.system, self._model, settings.num_crops, settings.weights,
            settings.kv, settings.dtype, settings.context, asdict(sampling),
        ]  # fmt: skip
        self.key = _hash(json.dumps(asked).encode())
        """Stands for the question, model and settings."""
        self._refused = 0
        """Answers in a row that failed because of the model."""

    @property
    def _fields(self) -> list[str]:
        """The columns of a schema."""
        schema = json.loads(self._sampling.schema or "{}")
        properties = schema.get("properties")
        return list(properties) if isinstance(properties, dict) else []

    def print(self, names: list[str]) -> int:
        """Print a line for each picture; returns how many failed."""
        failed = 0
        progress = _Progress(len(names), to_terminal=not sys.stdout.isatty())
        with closing(progress):
            for name in names:
                progress.show(name, failed)
                line = self._ask(name, self._opened(name))
                progress.asked()
                sys.stdout.buffer.write(encoded(line))
                sys.stdout.buffer.flush()
                failed += self._has_failed(line)
        return failed

    def write(self, names: list[str], file: BatchFile) -> int:
        """Write a line for each picture, those asked before as they are; returns the failures."""
        failed = 0
        places: list[Place] = []
        progress = _Progress(len(names))
        try:
            with closing(progress):
                for name in names:
                    progress.show(name, failed)
                    place = self._place(name, file, progress)
                    failed += self._has_failed(file.read(place))
                    places.append(place)
        except KeyboardInterrupt:
            raise StoppedError(
                f"Stopped: {len(places):,} of {counted(len(names), 'picture')} are done, in "
                f"{one_line(str(file.path))}.part. The same command goes on."
            ) from None
        each = zip(names, places, strict=True)
        named: Iterator[Line] = ({**file.read(one), "picture": name} for name, one in each)
        file.finish(chain(named, map(file.read, file.others(places))), self._fields)
        return failed

    def _place(self, name: str, file: BatchFile, progress: _Progress) -> Place:
        """Return the place of the answer for a picture, which is asked if there is none."""
        known = file.find(_hash_of_file(name))
        if known is None:
            opened = self._opened(name)
            if not isinstance(opened, PictureError):
                known = file.find(opened.pixels_sha256)
            if known is None:
                known = file.add(self._ask(name, opened))
                progress.asked()
        return known

    def _opened(self, name: str) -> PictureFile | PictureError:
        try:
            return self._engine.pictures.open(name)
        except PictureError as error:
            return error

    def _ask(self, name: str, opened: PictureFile | PictureError) -> Line:
        """Ask the question; what goes wrong is a line, unless the model fails again and again."""
        from assistant.engine.single import answer_alone
        from assistant.values.conversation import Draft

        if isinstance(opened, PictureError):
            return self._failure(name, opened)
        engine = self._engine
        try:
            draft = Draft(self._question, (opened,))
            answer = answer_alone(engine.model, engine.prompts, draft, self._sampling)
        except PhichatError as error:
            is_models = isinstance(error, ModelError) and error.code != "context"
            self._refused = self._refused + 1 if is_models else 0
            if self._refused >= PATIENCE:
                raise PhichatError(
                    f"{error} So it was {PATIENCE} times in a row: the same command goes on, as "
                    "soon as that is mended.",
                    code=error.code,
                ) from None
            return self._failure(name, error)
        self._refused = 0
        schema, is_cut = self._sampling.schema, answer.finish_reason == FinishReason.LENGTH
        value, fault = checked(answer.text, schema) if schema and not is_cut else (None, None)
        if fault is not None:
            return {**self._failure(name, fault), "text": answer.text}
        line: Line = {
            "picture": name,
            "text": answer.text,
            "finish_reason": str(answer.finish_reason),
            "model": self._model,
            "sha256": opened.sha256,
            "key": f"{self.key}-{opened.pixels_sha256}",
        }
        if opened.notice:
            line["notice"] = opened.notice
        if not schema:
            return line
        return with_read_value(line) if is_cut else with_value(line, value)

    def _has_failed(self, line: Line) -> bool:
        """Whether there is no answer, or one that was cut within its JSON."""
        is_cut = line.get("finish_reason") == FinishReason.LENGTH
        return "error" in line or (is_cut and bool(self._sampling.schema))

    def _failure(self, name: str, error: PhichatError) -> Line:
        words = {"code": error.code, "message": str(error)}
        return {"picture": name, "error": words, "model": self._model, "key": None}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _hash_of_file(name: str) -> str:
    """Hash the bytes of a file; "" of what is none: an address, a part of a picture, a pipe."""
    if not os.path.isfile(name):  # a pipe would be waited for
        return ""
    try:
        with open(name, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


class _Progress:
    """A bar on standard error, where it is a terminal, with the time that is left."""

    def __init__(self, total: int, *, to_terminal: bool = True) -> None:
        self._total, self._done, self._asked = total, 0, 0
        self._is_shown = to_terminal and sys.stderr.isatty()
        self._started = time.monotonic()

    def asked(self) -> None:
        """Note that the model answered: only such pictures tell how long the others take."""
        self._asked += 1

    def show(self, name: str, failed: int) -> None:
        """Show that a picture is begun."""
        if self._is_shown:
            full = BAR * self._done // self._total
            words = f"[{'#' * full}{'-' * (BAR - full)}] {self._done:,} of {self._total:,}"
            words += f" · {failed:,} failed" if failed else ""
            if self._asked:
                each = (time.monotonic() - self._started) / self._asked
                words += f" · {duration(each * (self._total - self._done))} left"
            width = shutil.get_terminal_size().columns - 3
            click.echo(f"\r\x1b[K{one_line(f'{words} · {name}', width)}", nl=False, err=True)
        self._done += 1

    def close(self) -> None:
        """Clear the line."""
        if self._is_shown:
            click.echo("\r\x1b[K", nl=False, err=True)
