"""Model families by the ``model_type`` of a config.json, and models by name. No torch.

A family of another package is found by its entry point in the group :data:`GROUP`, named by the
``model_type``. A model folder can only choose among what is installed, never bring code, and the
package of a family is imported only when a model of its type is opened. Rows of this table can't
be replaced.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from assistant import demo_model as demo
from assistant.families.family import ModelFamily
from assistant.phi3v.checkpoint import find_folder, read_checkpoint, read_json
from assistant.values.errors import ModelError
from assistant.values.model import ModelFacts

DEMO = "demo"

GROUP = "phichat.families"

FAMILIES = {"phi3_v": "assistant.phi3v.family:FAMILY"}
"""``model_type`` -> module:object, imported when a model of that type is opened."""


@cache
def family(model_type: str) -> ModelFamily | None:
    """The family of a ``model_type``; None for an unknown one."""
    if row := FAMILIES.get(model_type):
        found: ModelFamily = EntryPoint(model_type, row, GROUP).load()
        return found
    installed = entry_points(group=GROUP, name=model_type)
    return next((entry.load() for entry in installed), None)


def family_of(folder: Path) -> ModelFamily:
    """The family of a model folder, by its config.json. Raises ModelError."""
    model_type = read_json(folder / "config.json").get("model_type")
    found = family(model_type) if isinstance(model_type, str) else None
    if found is None:
        raise ModelError(
            f"The model in {folder} is of type {model_type!r}, not Phi-3-vision "
            "(phi3_v): choose another folder."
        )
    return found


def model_folder(name: str) -> Path:
    """The folder of a model: “demo”, a local folder, or a hub id that is already fetched.

    Never touches the network. Raises ModelError.
    """
    if name == DEMO:
        return demo.folder()
    if name.startswith(("http://", "https://")):
        raise ModelError(f"{name} is a server: it has no files on this machine.", code="server")
    return find_folder(name, local_files_only=True)


def model_facts(
    name: str, *, num_crops: int | None = None, context: int | None = None
) -> ModelFacts:
    """What laying out a prompt for the model takes; reads two small files. Raises ModelError.

    ``num_crops`` and ``context`` override the model's own values (the context downwards only).
    """
    checkpoint = read_checkpoint(model_folder(name))
    return ModelFacts(
        name=name,
        folder=str(checkpoint.folder),
        is_demo=name == DEMO,
        num_crops=num_crops or checkpoint.num_crops,
        num_img_tokens=checkpoint.num_img_tokens,
        context=min(context or checkpoint.context, checkpoint.context),
    )
