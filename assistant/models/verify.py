"""Verification of a model's files: checksums where they are recorded, and the structure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from assistant.families import hub_cache
from assistant.families.checkpoint import NEEDED, WANTED, weight_file_names
from assistant.families.model_files import local_path
from assistant.families.registry import DEMO, family_of, model_folder, open_checkpoint
from assistant.families.stored_weights import check_weights, stored_weights
from assistant.families.vocabulary import read_tokenizer
from assistant.models import digests
from assistant.models.progress import Meter, OnProgress
from assistant.values.errors import ModelError
from assistant.values.text import one_line

_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

RIGHT, DAMAGED, MISSING, UNRECORDED = "right", "damaged", "missing", "unrecorded"


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file; ``state`` is “right”, “damaged”, “missing” or “unrecorded” (without a checksum)."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Verified:
    """Result; ``commit`` is None for a folder, ``problem`` a sentence about the structure."""

    model: str
    folder: Path
    commit: str | None
    files: tuple[CheckedFile, ...]
    problem: str | None

    @property
    def bad(self) -> list[str]:
        return [file.name for file in self.files if file.state in (DAMAGED, MISSING)]

    @property
    def ok(self) -> bool:
        return not self.bad and self.problem is None


def verify(
    model: str,
    *,
    on_progress: OnProgress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Verified:
    """Compare every file with the hub's checksum, and check the structure of all.

    In the Hugging Face cache a file is a link to a blob that is named by its checksum; a plain
    folder records none, so only completeness, names and shapes are checked there. Raises ModelError
    when the model is not on this machine, and when cancelled.
    """
    folder, commit = _folder(model)
    present = sorted(
        path
        for path in folder.iterdir()
        if os.path.isfile(path) and any(fnmatch(path.name, pattern) for pattern in WANTED)
    )
    meter = Meter(sum(path.stat().st_size for path in present), on_progress)

    def step(count: int) -> None:
        if cancelled():
            raise ModelError("The check was stopped.", code="cancelled")
        meter.add(count)

    states: dict[str, str] = {}
    for path in present:
        meter.begin("checking", path.name)
        states[path.name] = _state(path, step)
        meter.end()
    names, problem = list(NEEDED), None
    try:
        family_of(folder)
        names += weight_file_names(folder)
    except ModelError as error:
        problem = str(error)
    states |= {name: MISSING for name in names if name not in states}
    files = tuple(CheckedFile(name, state) for name, state in sorted(states.items()))
    found = Verified(model, folder, commit, files, problem)
    return found if found.bad or problem else _with_structure(found)


def _folder(model: str) -> tuple[Path, str | None]:
    """Find folder and commit of a model, also of an incomplete one."""
    if model == DEMO or local_path(model) or not hub_cache.is_hub_id(model):
        return model_folder(model), None
    commit = hub_cache.fetched_commit(model)
    if commit is None:
        return model_folder(model), None  # raises, with what to do
    return hub_cache.snapshot(model, commit), commit


def _state(path: Path, step: Callable[[int], None]) -> str:
    expected = Path(os.readlink(path)).name if path.is_symlink() else ""
    if not _DIGEST.fullmatch(expected):
        step(path.stat().st_size)
        return UNRECORDED
    digest = digests.begin(expected, path.stat().st_size)
    try:
        digests.feed(digest, path, step)
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}): check the disk.") from error
    return RIGHT if digest.hexdigest() == expected else DAMAGED


def _with_structure(found: Verified) -> Verified:
    try:
        checkpoint = open_checkpoint(found.folder)
        wanted = checkpoint.weights()
        stored = stored_weights(found.folder)
        check_weights(found.folder, stored, wanted, checkpoint.is_ignored)
        for name, shape in wanted.items():
            if name not in stored:
                raise ModelError(f"{found.folder} lacks the weight {name}.")
            if stored[name].shape != shape:
                raise ModelError(
                    f"{name} in {found.folder} has the shape {list(stored[name].shape)}, and "
                    f"config.json asks for {list(shape)}: the folder mixes two models."
                )
        _check_tokenizer(found.folder / "tokenizer.json")
    except ModelError as error:
        return replace(found, problem=str(error))
    return found


def _check_tokenizer(path: Path) -> None:
    try:
        read_tokenizer(path.read_text("utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{path} can't be read ({one_line(str(error), 200)}).") from error
