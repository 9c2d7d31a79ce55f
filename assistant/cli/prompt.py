"""``phichat prompt``: the token ids or messages that the model would see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from assistant.cli.common import opened_engine, print_json, start_decoding, stay_with_model
from assistant.cli.options import (
    continue_option,
    engine_options,
    json_option,
    model_option,
    pictures_option,
    session_option,
)
from assistant.cli.question import (
    chosen_session,
    draft_of,
    page_text_option,
    question_of,
    quoted_documents,
    system_option,
    words_argument,
)
from assistant.servers.messages import as_json, messages
from assistant.values.context import ChosenBy, ContextReport, LeftOut, PictureCost, Why
from assistant.values.model import ModelFacts
from assistant.values.prompt import Prompt, Slot
from assistant.values.text import one_line, plain
from assistant.values.words import counted
from assistant.window.layout import PromptPreview

_WHY = {
    Why.NO_ROOM: "no room",
    Why.EXCLUDED: "taken out by you",
    Why.NOT_TAKEN: "more than the server takes",
}
_CHOSEN_BY = {
    ChosenBy.DEFAULT: "",
    ChosenBy.STORED: ", as chosen before",
    ChosenBy.ROOM: ", fewer than usual to leave room",
}


@click.command(
    "prompt",
    help="""What the model would see: token ids, picture slots, budget. Nothing is stored.

    A server is given messages instead of ids, and what it counts is estimated.
    PROMPT, - and a pipe are read as ask does; with --session or --continue and
    neither PROMPT nor pictures: the chat as it stands.
    A chat's own model, unless --model names another.

    \b
    phichat prompt -i chart.png "What is this?"
    phichat prompt --session 4f2k --json
    git diff | phichat prompt "Summarise this change." -
    """,
)
@pictures_option
@session_option("As the next message of this chat.")
@continue_option
@system_option
@model_option
@engine_options
@json_option
@page_text_option
@words_argument
def show_prompt(
    words: tuple[str, ...],
    images: tuple[str, ...],
    session: str | None,
    go_on: bool,
    system: str | None,
    model: str | None,
    as_json: bool,
    page_text: bool,
    **memory: object,
) -> None:
    """Print the prompt of a message, or of a session as it stands."""
    quoted = quoted_documents(images, session, go_on, system, page_text)
    goes_on = session is not None or go_on
    text = question_of(words, images, takes_pipe=not goes_on)
    if not (text or images or goes_on):
        raise click.UsageError("give a question, or a picture with -i")
    if images:
        start_decoding()
    with opened_engine(model=model, system=system, **memory) as (engine, _):
        session_id = chosen_session(engine, session, go_on)
        stay_with_model(engine, session_id, model)
        stands = goes_on and not (images or text)
        draft = None if stands else draft_of(engine, text, images, quoted)
        preview = engine.prompts.preview(session_id, draft)
        if as_json:
            print_json(_as_json(engine.model.facts(), preview))
        else:
            _show(engine.model.facts(), preview)


def _as_json(facts: ModelFacts, preview: PromptPreview) -> dict[str, object]:
    context, has_ids = preview.context, facts.chat.vocabulary.is_exact
    return {
        "model": facts.name,
        "ids": _ids(preview.prompt) if has_ids else [],
        "messages": None if has_ids else _messages(preview),
        "is_estimate": context.is_estimate,
        "pictures": [
            {
                "number": one.picture.number,
                "slot": one.slot,
                "name": one.picture.name,
                "sha256": one.picture.sha256,
                "width": one.picture.width,
                "height": one.picture.height,
                "region": one.picture.region and asdict(one.picture.region),
                "origin": one.picture.origin and asdict(one.picture.origin),
                "crops": list(one.layout.grid),
                "num_crops": one.layout.detail,
                "chosen_by": one.chosen_by,
                "tokens": one.tokens,
            }
            for one in context.pictures
        ],
        "prompt_tokens": context.used,
        "picture_tokens": context.picture_tokens,
        "system_tokens": context.system_tokens,
        "summary_tokens": context.summary_tokens,
        "limit": context.limit,
        "budget": context.budget,
        "max_new_tokens": context.max_new_tokens,
        "until_eviction": context.until_eviction,
        "left_out": [
            {
                "turn": one.turn.id,
                "picture": one.picture.number if one.picture else None,
                "why": one.why,
                "tokens": one.tokens,
            }
            for one in context.left_out
        ],
    }


def _messages(preview: PromptPreview) -> list[dict[str, Any]]:
    """Return the messages for a server, with numbers of pictures in place of their bytes."""
    numbers = iter([one.picture.number for one in preview.context.pictures])
    urls = ({"url": f"picture {number}"} for number in numbers)
    return [as_json(one, lambda _: next(urls)) for one in messages(preview.prompt)]


def _message_lines(message: dict[str, Any]) -> Iterator[str]:
    content = message["content"]
    parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts:
        said = part["text"] if part["type"] == "text" else f"[{part['image_url']['url']}]"
        for line in said.split("\n"):
            yield plain(f"{message['role']:>9}  {line}")


def _ids(prompt: Prompt) -> list[int | list[int]]:
    """Return ids with each picture as [-slot, tokens], as the contract has it."""
    ids: list[int | list[int]] = []
    slots = 0
    for part in prompt.parts:
        if isinstance(part, Slot):
            slots += 1
            ids.append([-slots, part.tokens])
        else:
            ids.extend(part)
    return ids


def _show(facts: ModelFacts, preview: PromptPreview) -> None:
    context = preview.context
    for picture in context.pictures:
        click.echo(picture_line(picture))
    if facts.chat.vocabulary.is_exact:
        _show_ids(preview.prompt)
    else:
        for message in _messages(preview):
            for line in _message_lines(message):
                click.echo(line)
    for one in context.left_out:
        click.echo(left_out_line(one))
    click.echo(budget_line(context))


def _show_ids(prompt: Prompt) -> None:
    ids = _ids(prompt)
    click.echo(" ".join(str(i) if isinstance(i, int) else f"[{i[0]} x {i[1]}]" for i in ids))


def picture_line(one: PictureCost) -> str:
    """Describe a picture of a prompt, and its cost."""
    layout = one.layout
    rows, columns = layout.grid
    cut = f"{rows}x{columns} {layout.part}s (at most {layout.detail}{_CHOSEN_BY[one.chosen_by]})  "
    return (
        f"picture {one.picture.number}  {one_line(one.picture.name)}  "
        f"{one.picture.width}x{one.picture.height}  {cut if layout.part else ''}"
        f"{counted(one.tokens, 'token')}"
    )


def left_out_line(one: LeftOut) -> str:
    """Describe what the model does not see."""
    what = f"turn {one.turn.id}"
    if one.picture is not None:
        what = f"picture {one.picture.number} of {what}"
    said = one_line(one.turn.text, 40)
    takes = counted(one.tokens, "token")
    return f"left out  {what}  {one.turn.role}  {takes}  ({_WHY[one.why]})  {said}"


def budget_line(context: ContextReport) -> str:
    """Say how full the context is."""
    turns = sum(one.picture is None for one in context.left_out)
    pictures = len(context.left_out) - turns
    about = "about " if context.is_estimate else ""
    return (
        f"{about}{context.used} of {counted(context.limit, 'token')}, "
        f"{context.max_new_tokens} kept for the reply, "
        f"{context.until_eviction} until something is left out; "
        f"{counted(turns, 'turn')} and {counted(pictures, 'picture')} left out"
    )
