"""``phichat models``: list, pull, verify and use models."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from typing import Any

import click

from assistant.cli import completion_words as completing
from assistant.cli.common import print_json, whole_path
from assistant.cli.errors import StoppedError
from assistant.cli.group import CommandGroup
from assistant.cli.models_servers import SENT, found_at, verify_server
from assistant.cli.options import json_option
from assistant.cli.progress_line import ProgressLine
from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.places import choose_place
from assistant.families.registry import DEMO, model_facts
from assistant.models.catalogue import FoundModel, find_models
from assistant.models.known import known_model
from assistant.models.progress import OnProgress
from assistant.models.verify import RIGHT, Verified
from assistant.servers.address import is_server
from assistant.settings.load import load
from assistant.settings.schema import Settings
from assistant.values.errors import ModelError, StorageError
from assistant.values.text import plain
from assistant.values.words import counted, file_size


@click.group(cls=CommandGroup)
def models() -> None:
    """See, fetch, check and choose models.

    \b
    phichat models list
    phichat models pull microsoft/Phi-3-vision-128k-instruct
    phichat models use microsoft/Phi-3-vision-128k-instruct
    """


@models.command("list")
@json_option
def list_(as_json: bool) -> None:
    """The models there are, and what fits this machine.

    A star marks the one in use. What fits is arithmetic from the memory that is free right now.
    Nothing is asked of any network.

    \b
    phichat models list
    phichat models list --json
    """
    settings = load()
    place, _ = choose_place(detect_hardware(), settings.device)
    found = find_models(settings, place, _used(settings))
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    for one in found:
        for line in _lines(one):
            click.echo(plain(line))
    click.echo(f"\nFree right now on {plain(place.title)}: {file_size(place.available)}.")


def _used(settings: Settings) -> list[str]:
    """Return the models of stored chats; makes no database."""
    location = settings.store_location
    if "://" not in location and not os.path.exists(location):
        return []
    from storage.store import Store  # the database library, only where there is something to read

    with suppress(StorageError), closing(Store.open(location)) as store:
        return store.models()
    return []


def _lines(one: FoundModel) -> Iterator[str]:
    yield f"{'*' if one.in_use else ' '} {one.name}  ({', '.join(_facts(one))})"
    if one.kind == DEMO:
        yield "    comes with phichat; knows coloured shapes and nothing else"
    elif one.kind == "server":
        yield f"    {SENT}"
    elif one.known is not None:
        yield f"    {one.known.about}"
    if one.plan is not None and one.plan.problem is None:
        held = one.plan.dtype if one.plan.weights == "float" else one.plan.weights
        context = counted(one.plan.context_tokens, "token")
        yield f"    fits here: {held} weights, {context} of context"
    elif one.plan is not None:
        needed = file_size(one.plan.fixed_bytes + one.plan.reserve)
        yield f"    does not fit here now: it takes {needed} before the first token of context"
    if one.problem is not None and one.known is None:
        yield f"    {one.problem}"


def _facts(one: FoundModel) -> Iterator[str]:
    if one.bytes:
        yield file_size(one.bytes)
    if one.known is not None:
        yield one.known.licence
    if one.kind == "server":
        yield "a server"
    elif one.whole:
        yield "here"
    elif one.bytes_here and one.kind == "hub":
        yield f"{file_size(one.bytes_here)} of it here"
    else:
        yield "not here" if one.kind == "hub" else "not usable"


def _as_json(one: FoundModel) -> dict[str, Any]:
    plan = one.plan
    return {
        "name": one.name,
        "kind": one.kind,
        "in_use": one.in_use,
        "whole": one.whole,
        "bytes": one.bytes,
        "bytes_here": one.bytes_here,
        "licence": one.known.licence if one.known else None,
        "revision": one.known.revision if one.known else None,
        "folder": one.folder,
        "problem": one.problem,
        "plan": None if plan is None else asdict(plan),
    }


@models.command()
@click.argument("model_id", metavar="ID", shell_complete=completing.models)
@click.option(
    "--revision", metavar="COMMIT", help="Another commit, branch or tag than the pinned one."
)
@json_option
def pull(model_id: str, revision: str | None, as_json: bool) -> None:
    """Fetch a model from the hub, or what is missing of it.

    Every file is checked against the hub's checksum. Ctrl-C keeps what came, and the same command
    goes on there. Files lie in the standard Hugging Face cache; HF_HOME, HF_TOKEN, HF_ENDPOINT
    and HTTPS_PROXY mean what they always mean. No code and no pickles are fetched.

    \b
    phichat models pull microsoft/Phi-3-vision-128k-instruct
    HF_ENDPOINT=https://a.mirror phichat models pull someone/a-finetune
    phichat models pull microsoft/Phi-3.5-vision-instruct --revision main
    """
    if is_server(model_id):
        raise ModelError(
            f"A server has nothing to fetch: “phichat models use {model_id}” lets it answer."
        )
    if model_id == DEMO:
        raise ModelError("The demo comes with phichat: there is nothing to fetch.")
    from assistant.models.pull import pull as fetch  # a third of a second: not for the others

    kept = "what came is kept: the same command goes on there."
    with _progress(kept, "here and right") as show:
        pulled = fetch(model_id, revision=revision, on_progress=show)
    if as_json:
        print_json(asdict(pulled))
        return
    came = file_size(pulled.fetched) if pulled.fetched else "nothing"
    click.echo(
        f"{pulled.model_id} is here and right: {file_size(pulled.total)}, {came} of it fetched now "
        f"(commit {pulled.commit[:8]})."
    )
    click.echo(f"“phichat models use {pulled.model_id}” makes it the model of every start.")


@models.command()
@click.argument("model", required=False, shell_complete=completing.models)
@json_option
def verify(model: str | None, as_json: bool) -> None:
    """Check a model that is here, without any network; or ask a server.

    MODEL is the one in use if left out. Files from the hub are read whole and compared with the
    checksums that it stated. A plain folder has none: there completeness, names and shapes are
    checked. A server is asked for its models.

    \b
    phichat models verify
    phichat models verify microsoft/Phi-3-vision-128k-instruct
    phichat models verify ~/models/phi-3-vision
    phichat models verify http://localhost:8000
    """
    from assistant.models.verify import verify as check

    name = model or load().model
    if is_server(name):
        verify_server(name, as_json=as_json)
        return
    known = known_model(name)
    with _progress("nothing was changed.") as show:
        found = check(known.id if known else name, on_progress=show)
    if as_json:
        print_json({**asdict(found), "ok": found.ok})
    else:
        for file in found.files:
            click.echo(plain(f"{file.state:10}  {file.name}"))
        for line in _verdict(found):
            click.echo(plain(line), err=not found.ok)
    if not found.ok:
        sys.exit(1)


def _verdict(found: Verified) -> Iterator[str]:
    if found.bad:
        words = ", ".join(
            f"{file.name} is {file.state}" for file in found.files if file.name in found.bad
        )
        yield f"{words}: {_remedy(found)}."
    elif found.problem is not None:
        yield f"{found.problem.rstrip('.')}: {_remedy(found)}."
    elif all(file.state == RIGHT for file in found.files):
        yield f"Every byte is what the hub stated ({(found.commit or found.folder.name)[:8]})."
    else:
        yield (
            "Complete, and every weight has the right shape. “Unrecorded” files have no checksum "
            "to compare with: a wrong number in them can't be seen."
        )


def _remedy(found: Verified) -> str:
    if found.commit is None:
        return "copy the folder again from where it came"
    return f"“phichat models pull {found.model}” fetches what is bad again, and nothing else"


@contextmanager
def _progress(words: str, finished: str | None = None) -> Iterator[OnProgress]:
    """Show a progress line; ctrl-C ends in a sentence that goes on with ``words``."""
    line = ProgressLine(finished)
    try:
        yield line.show
    except KeyboardInterrupt:
        raise StoppedError(f"Stopped; {words}") from None
    finally:
        line.close()


@models.command()
@click.argument("model", shell_complete=completing.models)
def use(model: str) -> None:
    """Make MODEL the one of every start.

    MODEL is demo, an id that is here, a folder, or the address of an OpenAI-compatible server, with
    #NAME behind it for another than its first model. Writes one line into the configuration file
    and leaves the rest of it as it is.

    \b
    phichat models use microsoft/Phi-3-vision-128k-instruct
    phichat models use ~/models/phi-3-vision
    phichat models use http://localhost:8000
    phichat models use https://example.org/v1#llava
    phichat models use demo
    """
    from assistant.settings.file import write_setting

    settings = load()
    known = known_model(model)
    name = known.id if known else whole_path(model)
    # what can't be used is refused
    if is_server(name):
        name = found_at(name)
    else:
        model_facts(name)
    write_setting(settings.config_file, "model", name)
    click.echo(f"The model of every start is now {plain(name)} ({settings.config_file}).")
    if os.environ.get("PHICHAT_MODEL"):
        click.echo("PHICHAT_MODEL is set and goes before it: unset it.", err=True)
