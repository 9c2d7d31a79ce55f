"""Checkpoint folders: their place, their files and their JSON. No torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from assistant.families import hub_cache
from assistant.families.model_files import local_path, read_small
from assistant.values.errors import ModelError
from assistant.values.text import one_line

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
NEEDED = ("config.json", "preprocessor_config.json", "tokenizer.json")
"""Small files that a whole model has."""

WANTED = (*NEEDED, "tokenizer_config.json", INDEX, "LICENSE", "*.safetensors")
"""Patterns of the files to fetch from a repository: no code, no pickles, no unread files."""


def find_folder(name_or_path: str | Path, *, local_files_only: bool = False) -> Path:
    """Find the folder of a checkpoint by a local path or a Hugging Face id.

    A model that is whole in the Hugging Face cache is taken from there without the network; others
    are fetched, except with ``local_files_only``. Raises ModelError.
    """
    path = local_path(name_or_path)
    if path is not None and os.path.isdir(path):
        return path
    name = str(name_or_path)
    if path is not None:
        raise ModelError(f"{name} is a file; a model is a folder with config.json and weights.")
    if not hub_cache.is_hub_id(name):
        raise ModelError(
            f"There is no model {one_line(name, 200)!r}: give “demo”, a folder, a Hugging Face id "
            "such as microsoft/Phi-3-vision-128k-instruct, or a server's address, which begins "
            "with http:// or https://."
        )
    commit = hub_cache.fetched_commit(name)
    lacks = "not on this machine"
    if commit is not None:
        folder = hub_cache.snapshot(name, commit)
        missing = missing_files(folder)
        if not missing:
            return folder
        lacks = f"not whole on this machine ({missing[0]} is missing)"
    if local_files_only:
        if commit is None and "." in name.partition("/")[0]:  # no owner on the hub has a dot
            raise ModelError(
                f"There is no model {name!r}: if it is a server, its address begins with http:// "
                "or https://."
            )
        raise ModelError(
            f"The model {name} is {lacks}: fetch it with “phichat models pull {name}”, or use "
            "--model demo or a folder."
        )
    return _fetched(name)


def missing_files(folder: Path) -> list[str]:
    """List the files that a folder lacks to be a whole model, in the order of their use."""
    wanted = [*NEEDED, *weight_file_names(folder)]
    return [name for name in wanted if not os.path.isfile(folder / name)]


def weight_file_names(folder: Path) -> list[str]:
    """List the safetensors files, from the index if there is one. Raises ModelError."""
    weight_map = read_index(folder)
    return [WEIGHTS] if weight_map is None else sorted(set(weight_map.values()))


def read_index(folder: Path) -> dict[str, str] | None:
    """Read the map from weights to safetensors files; None without an index. Raises ModelError."""
    index = folder / INDEX
    if not os.path.exists(index):
        return None
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise ModelError(f"{index} has no weight_map: fetch the model again.")
    files = {str(weight): str(name) for weight, name in weight_map.items()}
    if outside := [name for name in files.values() if Path(name).name != name]:
        raise ModelError(f"{index} names {outside[0]!r}, which is no file of its folder.")
    return files


def _fetched(name: str) -> Path:
    """Download a model for the Python API."""
    # imported late: it takes a third of a second, and a fetched model does not need it
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED)))
    except LocalEntryNotFoundError:
        raise ModelError(
            f"The model {name} is not on this machine and the Hugging Face hub can't be reached; "
            "check the network, or use --model demo or a folder."
        ) from None
    except (HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"The model {name} could not be fetched: {reason}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint. Raises ModelError."""
    try:
        value = json.loads(read_small(path).decode("utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path.parent} has no {path.name}: it is not a complete model folder."
        ) from None
    except RecursionError:
        raise ModelError(f"{path} is nested too deeply: fetch the model again.") from None
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}): check the folder.") from None
    except ValueError as error:
        raise ModelError(f"{path} can't be read ({error}): fetch the model again.") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object: fetch the model again.")
    return value
