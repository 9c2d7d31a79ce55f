"""Catalogue of models: known, in the cache, used before, in use. No network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assistant.core.memory.places import Place
from assistant.core.memory.plan import make_plan
from assistant.core.memory.speed_estimate import PICTURE
from assistant.core.memory.values import MemoryPlan, Wanted
from assistant.families import hub_cache
from assistant.families.checkpoint import missing_files
from assistant.families.family import KnownModel
from assistant.families.model_files import local_path
from assistant.families.registry import DEMO, family_of, model_folder, open_checkpoint
from assistant.families.sizes import ModelSize
from assistant.models.known import KNOWN, known_model
from assistant.servers import address
from assistant.settings.schema import Settings
from assistant.values.context import PictureLayout
from assistant.values.errors import ModelError


@dataclass(frozen=True, slots=True)
class FoundModel:
    """One model that can be chosen.

    ``kind`` is “demo”, “hub”, “folder” or “server”; ``known`` its entry, if it has one. ``bytes``
    counts those of all its files, 0 if that is not known; ``bytes_here`` those on this disk.
    ``whole`` says that it can be used now, ``problem`` is a sentence about a folder or address that
    can't be; no server is contacted. ``plan`` is its memory plan on this machine, None if its size
    is not known, ``size`` that of its weights, ``layout`` that of a picture of usual size.
    """

    name: str
    kind: str
    known: KnownModel | None
    bytes: int
    bytes_here: int
    whole: bool
    folder: Path | None
    plan: MemoryPlan | None
    in_use: bool
    problem: str | None = None
    size: ModelSize | None = None
    layout: PictureLayout | None = None


def find_models(settings: Settings, place: Place, used: Iterable[str] = ()) -> list[FoundModel]:
    """List the demo, the known models, others of a known family in the cache, the settings' one.

    Of the names ``used`` by earlier chats it adds servers, and folders that still exist.
    """
    chosen = _canonical(settings.model)
    names = [DEMO, *(one.id for one in KNOWN)]
    names += [one for one in hub_cache.fetched_ids() if one not in names and _is_ours(one)]
    names += [one for one in map(_canonical, used) if _is_elsewhere(one)]
    names = list(dict.fromkeys([*names, chosen]))
    return [_found(name, name == chosen, settings, place) for name in names]


def server_model(name: str, *, in_use: bool = False) -> FoundModel:
    """Return the entry of a model of a server, which is not contacted."""
    return FoundModel(name, "server", None, 0, 0, True, None, None, in_use)


def _canonical(name: str) -> str:
    if address.is_server(name):
        with suppress(ModelError):
            return address.parse(name).name
    known = known_model(name)
    return known.id if known else name


def _is_elsewhere(name: str) -> bool:
    """Check that a name is a server, or a model folder by its absolute path."""
    folder = local_path(name)
    with suppress(ModelError, OSError):
        if folder is None:
            return address.is_server(name)
        return Path(name).is_absolute() and not missing_files(folder)
    return False


def _found(name: str, in_use: bool, settings: Settings, place: Place) -> FoundModel:
    known = known_model(name)
    if address.is_server(name):
        try:
            address.parse(name)
        except ModelError as error:  # it may hold a secret
            shown = f"{name.partition(':')[0]}://…"
            return FoundModel(shown, "server", None, 0, 0, False, None, None, in_use, str(error))
        return server_model(name, in_use=in_use)
    folder, problem, size = None, None, known.size if known else None
    pictures = known.pictures if known else None
    try:
        folder = model_folder(name)
        checkpoint = open_checkpoint(folder, settings.num_crops)
        size, pictures = checkpoint.size(name), checkpoint.pictures
        if missing := missing_files(folder):
            problem = f"{folder} lacks {missing[0]}: fetch the model again."
    except ModelError as error:
        problem = str(error)
    is_hub = name != DEMO and not local_path(name) and hub_cache.is_hub_id(name)
    kind = DEMO if name == DEMO else "hub" if is_hub else "folder"
    here = _bytes_in(hub_cache.repository(name) / "blobs" if is_hub else folder)
    total = known.download_bytes if known and problem else here if problem is None else 0
    detail = (settings.num_crops or pictures.default) if pictures else 0
    layout = pictures.layout(*PICTURE, detail) if pictures else None
    plan, whole = _plan(size, settings, place), problem is None
    return FoundModel(
        name, kind, known, total, here, whole, folder, plan, in_use, problem, size, layout
    )


def _plan(size: ModelSize | None, settings: Settings, place: Place) -> MemoryPlan | None:
    wanted = Wanted(settings.dtype, settings.weights, settings.kv, settings.context)
    return None if size is None else make_plan(size, place, wanted)


def _bytes_in(folder: Path | None) -> int:
    if folder is None or not os.path.isdir(folder):
        return 0
    return sum(path.stat().st_size for path in folder.iterdir() if os.path.isfile(path))


def _is_ours(model_id: str) -> bool:
    """Check that a model in the cache is whole and of a known family."""
    commit = hub_cache.fetched_commit(model_id)
    if commit is None:
        return False
    folder = hub_cache.snapshot(model_id, commit)
    try:
        family_of(folder)
        return not missing_files(folder)
    except ModelError:
        return False
