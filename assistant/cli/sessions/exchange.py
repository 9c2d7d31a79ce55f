"""``phichat sessions export``, ``import`` and ``backup``."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from assistant.cli.common import opened_store, print_json
from assistant.cli.completion_words import files, session_ids
from assistant.cli.options import TEXT, json_option, shared_option
from assistant.values.conversation import ExportFormat, Imported, Outcome
from assistant.values.text import one_line

_SUFFIXES = {".md": ExportFormat.MARKDOWN, ".markdown": ExportFormat.MARKDOWN,
             ".html": ExportFormat.HTML, ".htm": ExportFormat.HTML,
             ".json": ExportFormat.JSON}  # fmt: skip

_DONE = {
    Outcome.NEW: "imported",
    Outcome.COPY: "imported as a copy",
    Outcome.EXTENDED: "new turns imported",
    Outcome.UNCHANGED: "here already",
}


@click.command()
@click.argument("session", nargs=-1, metavar="[CHAT]...", type=TEXT, shell_complete=session_ids)
@click.option("--all", "every", is_flag=True, help="All chats.")
@click.option(
    "--format", "chosen", type=click.Choice([one.value for one in ExportFormat]),
    help="Otherwise that of the file's name; JSON where there is none.",
)  # fmt: skip
@click.option("-o", "--output", metavar="FILE|FOLDER|-", default="-", shell_complete=files,
              help="Where to; - (the default) is standard output.")  # fmt: skip
@click.option("--branches", is_flag=True, help="In Markdown and HTML: the other branches too.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@shared_option
@json_option
def export(
    session: tuple[str, ...],
    every: bool,
    chosen: str | None,
    output: str,
    branches: bool,
    overwrite: bool,
    shared: bool,
    as_json: bool,
) -> None:
    """Write chats as JSON (loses nothing), Markdown (pictures beside it) or one HTML page.

    \b
    phichat sessions export 4f2k -o talk.html
    phichat sessions export 4f2k 9xw0 --format md -o notes/
    phichat sessions export --all -o everything.json
    """
    if every == bool(session):
        raise click.UsageError("give chats, or --all")
    if not output:
        raise click.UsageError("--output needs a name, or - for standard output")
    to_stdout = output == "-"
    if as_json and to_stdout:
        raise click.UsageError("--json names the files that were written: add -o FILE")
    suffix = Path(output).suffix.lower()
    if suffix and not (chosen or suffix in _SUFFIXES or os.path.isdir(os.path.expanduser(output))):
        raise click.UsageError(
            f"no format ends in {one_line(suffix)}: .json, .md, .html, or say --format"
        )
    format = ExportFormat(chosen) if chosen else _SUFFIXES.get(suffix, ExportFormat.JSON)
    with opened_store(shared=shared) as store:
        leave_out = partial(click.echo, err=True) if every else None
        ids = None if every else [store.find_session(one) for one in session]
        if to_stdout:
            if format is not ExportFormat.JSON and (ids is None or len(ids) > 1):
                raise click.UsageError(
                    f"one {format} document holds one chat: add -o FOLDER, or use JSON"
                )
            for piece in store.export(ids, format, branches=branches, leave_out=leave_out):
                click.echo(piece.encode("utf-8", "replace"), nl=False)  # as in a file
            return
        path = Path(output).expanduser()
        if output.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        written = store.export_to(
            path, ids, format, branches=branches, overwrite=overwrite, leave_out=leave_out
        )
        if as_json:
            print_json({"files": [str(file) for file in written]})
        else:
            click.echo("".join(f"{one_line(str(file))}\n" for file in written), nl=False, err=True)


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=files)
@click.option(
    "--copy", is_flag=True, help="Chats that are here already, and differ, come in as copies."
)
@json_option
def import_(files: tuple[str, ...], copy: bool, as_json: bool) -> None:
    """Import what phichat exported as JSON, or the logs.db of the llm command.

    Of each FILE (- is standard input) all comes in or, when something is wrong
    with it, nothing. What is here already is not doubled.

    \b
    phichat sessions import everything.json
    phichat sessions import "$(llm logs path)"
    """
    from assistant.pictures.source import open_source

    with opened_store() as store:
        done: list[Imported] = []
        for file in files:
            if file == "-":
                data = sys.stdin.buffer.read()
                done.append(store.import_json(data, "standard input", open_source, copy=copy))
            else:
                path = Path(file).expanduser()
                done.append(store.import_file(path, open_source, copy=copy))
            if not as_json:
                _report(done[-1])
        if as_json:
            print_json(
                {
                    "sessions": [asdict(one) for each in done for one in each.sessions],
                    "left_out": [sentence for each in done for sentence in each.left_out],
                }
            )


def _report(done: Imported) -> None:
    for one in done.sessions:
        click.echo(f"{one.id}  {_DONE[one.outcome]}  {one_line(one.title, 60)}")
    for sentence in done.left_out:
        click.echo(sentence, err=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@json_option
def backup(file: Path, overwrite: bool, as_json: bool) -> None:
    """Copy the whole database to FILE, also while phichat is in use.

    The copy is a database like the original: to use it, put it in its place, or
    point PHICHAT_DATABASE at it.

    \b
    phichat sessions backup ~/phichat-$(date +%F).db
    """
    if str(file) == "-":
        raise click.UsageError("a backup is a file, not standard output: name it, as in chats.db")
    with opened_store() as store:
        path = file.expanduser()
        store.backup(path, overwrite=overwrite)
        if as_json:
            print_json({"file": str(path), "bytes": path.stat().st_size})
