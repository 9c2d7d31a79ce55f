"""Model families by the ``model_type`` of a config.json, and models by name. No torch.

A family of another package is found by its entry point in the group :data:`GROUP`, named by the
``model_type``. A model folder can only choose among what is installed and never brings code, and
that package is imported only when a model of its type is opened. It can't replace a row of
:data:`FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name

from assistant import demo_model as demo
from assistant.families.checkpoint import find_folder
from assistant.families.family import Checkpoint, ModelFamily
from assistant.families.folder_kind import read_config
from assistant.values.errors import ModelError
from assistant.values.model import ModelFacts

DEMO = "demo"

GROUP = "phichat.families"

FAMILIES = {"phi3_v": "assistant.phi3v.family:FAMILY"}
"""``model_type`` -> module:object, imported when a model of that type is opened."""


def families() -> list[ModelFamily]:
    """Import the families of :data:`FAMILIES`, the default one first."""
    return [_loaded(name, partial(resolve_name, row)) for name, row in FAMILIES.items()]


def family_of(folder: Path) -> ModelFamily:
    """Find the family of a model folder, by its config.json. Raises ModelError."""
    model_type = read_config(folder).get("model_type")
    if row := FAMILIES.get(str(model_type)):
        return _loaded(str(model_type), partial(resolve_name, row))
    from importlib.metadata import entry_points  # imports email: only where it is another's family

    for entry in entry_points(group=GROUP, name=str(model_type)):
        return _loaded(entry.name, entry.load)
    known = (f"{one.title} ({name})" for one, name in zip(families(), FAMILIES, strict=True))
    raise ModelError(
        f"The model in {folder} is of type {model_type!r}, not {' or '.join(known)}: "
        "choose another folder."
    )


def _loaded(name: str, load: Callable[[], ModelFamily]) -> ModelFamily:
    try:
        return load()
    except Exception as error:  # another author's package may raise anything
        raise ModelError(
            f"The package for models of type {name} can't be used ({error}): update it."
        ) from error


def open_checkpoint(folder: Path, detail: int | None = None) -> Checkpoint:
    """Read a model folder; ``detail`` is the setting for pictures. Raises ModelError."""
    return family_of(folder).open(folder, detail)


def model_folder(name: str) -> Path:
    """Find the folder of a model: “demo”, a local folder, or a hub id that is already fetched.

    Never touches the network. Raises ModelError.
    """
    if name == DEMO:
        return demo.folder()
    if name.startswith(("http://", "https://")):
        raise ModelError(f"{name} is a server: it has no files on this machine.", code="server")
    return find_folder(name, local_files_only=True)


def model_facts(name: str, *, detail: int | None = None, context: int | None = None) -> ModelFacts:
    """Read the facts of a model for laying out prompts, from small files. Raises ModelError.

    ``detail`` and ``context`` override the model's own values (the context downwards only).
    """
    folder = model_folder(name)
    checkpoint = open_checkpoint(folder, detail)
    return ModelFacts(
        name=name,
        folder=str(folder),
        is_demo=name == DEMO,
        context=min(context or checkpoint.context, checkpoint.context),
        chat=checkpoint.chat,
        pictures=checkpoint.pictures,
    )
