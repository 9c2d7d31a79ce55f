"""From the name of a model to a folder and the facts that prompts need. No torch."""

from __future__ import annotations

from pathlib import Path

from assistant import demo_model as demo
from assistant.phi3v.checkpoint import find_folder, read_checkpoint
from assistant.values.errors import ModelError
from assistant.values.model import ModelFacts

DEMO = "demo"


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
