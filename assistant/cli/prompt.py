"""``phichat prompt``: what the model would see."""

from __future__ import annotations

import click

from assistant.cli.common import (
    json_option,
    model_option,
    open_picture,
    opened_engine,
    pictures_option,
    print_json,
    told_plainly,
)
from assistant.conversation import Draft
from assistant.core import Prompt, Slot
from assistant.phi3v.geometry import crop_grid
from assistant.plain_text import one_line


@click.command("prompt")
@pictures_option
@click.option("--session", metavar="ID", help="As the next message of this session.")
@model_option
@json_option
@click.argument("text", metavar="[PROMPT]", default="")
@told_plainly
def show_prompt(
    images: tuple[str, ...], session: str | None, model: str | None, as_json: bool, text: str
) -> None:
    """What the model would see: token ids, picture slots, budget. Nothing is stored."""
    with opened_engine(model=model) as (engine, _):
        session_id = None if session is None else engine.find_session(session)
        draft = Draft(text, tuple(open_picture(engine, source) for source in images))
        preview = engine.preview(session_id, draft)
        facts = engine.facts()
        ids, slots = _ids_with_slots(preview.prompt)
        shown = [p for turn in preview.kept for p in turn.pictures]
        pictures = []
        first_new = 1 + max((p.number for p in shown), default=0)
        for index, (picture, slot) in enumerate(zip(shown, slots, strict=True), 1):
            grid = crop_grid(picture.width, picture.height, facts.num_crops)
            number = picture.number
            if not number:  # not stored yet: the numbers it would get
                number, first_new = first_new, first_new + 1
            pictures.append(
                {
                    "number": number,
                    "slot": index,
                    "name": picture.name,
                    "sha256": picture.sha256,
                    "width": picture.width,
                    "height": picture.height,
                    "crops": [grid.rows, grid.columns],
                    "tokens": slot.tokens,
                }
            )
        result = {
            "model": facts.name,
            "ids": ids,
            "pictures": pictures,
            "prompt_tokens": preview.prompt.tokens,
            "limit": facts.context,
            "max_new_tokens": preview.max_new_tokens,
            "left_out": [
                {"turn": turn.id, "why": "the oldest turns no longer fit"}
                for turn in preview.left_out
            ],
        }
        if as_json:
            print_json(result)
            return
        for picture_json in pictures:
            click.echo(
                f"picture {picture_json['number']}  {one_line(str(picture_json['name']))}  "
                f"{picture_json['width']}x{picture_json['height']}  {picture_json['tokens']} tokens"
            )
        click.echo(" ".join(str(i) if isinstance(i, int) else f"[{i[0]} x {i[1]}]" for i in ids))
        click.echo(
            f"{preview.prompt.tokens} of {facts.context} tokens, "
            f"{preview.max_new_tokens} kept for the reply, {len(preview.left_out)} turns left out"
        )


def _ids_with_slots(prompt: Prompt) -> tuple[list[int | list[int]], list[Slot]]:
    """Ids with each picture as [-slot, tokens], as the contract has it."""
    ids: list[int | list[int]] = []
    slots: list[Slot] = []
    for part in prompt.parts:
        if isinstance(part, Slot):
            slots.append(part)
            ids.append([-len(slots), part.tokens])
        else:
            ids.extend(part)
    return ids, slots
