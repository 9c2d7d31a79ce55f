"""Download of a model into the Hugging Face cache: resumable, checked, whole or absent.

huggingface_hub 2.4 lists files but does not download them here: its downloads start from zero after
an interruption, and its plain HTTP path does not compare checksums.

A file grows under ``blobs/DIGEST.incomplete`` and is renamed when its digest is right; the commit
is named (``refs/phichat``) when all its files are checked. So a half download is never taken for a
model.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from filelock import FileLock, Timeout

from assistant.families import hub_cache
from assistant.families.checkpoint import missing_files
from assistant.families.registry import family_of
from assistant.models import digests, hub
from assistant.models.hub import BrokenOffError, HubFile, Listing
from assistant.models.known import known_model
from assistant.models.progress import Meter, OnProgress
from assistant.values.errors import ModelError
from assistant.values.words import file_size

WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further try; any byte that arrives starts them again."""

SPARE = 100_000_000
"""Bytes of the disk to leave free."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PullCancelled(ModelError):  # noqa: N818 (the user's choice, no error)
    """The download was cancelled; its bytes stay, and the next call continues."""

    code = "cancelled"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A whole, checked model; ``fetched`` of its ``total`` bytes were downloaded just now."""

    model_id: str
    commit: str
    folder: Path
    total: int
    fetched: int


def pull(
    model_id: str,
    *,
    revision: str | None = None,
    on_progress: OnProgress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Pulled:
    """Download the missing files of a model, and check the others.

    ``revision`` is a commit, branch or tag; None is the commit that is pinned for a known model,
    else the one that was fetched before, else “main”. ``on_progress`` is called in this thread.
    ``cancelled`` is called for every piece that arrives, so a server that hangs delays it by its
    timeout (HF_HUB_DOWNLOAD_TIMEOUT, 10 s). Raises ModelError, and PullCancelled; after either, and
    after a kill, the next call continues where this one ended.
    """
    if not hub_cache.is_hub_id(model_id):
        raise ModelError(
            f"{model_id!r} is no id of the hub: give one such as "
            "microsoft/Phi-3-vision-128k-instruct."
        )
    known = known_model(model_id)
    model_id = known.id if known else model_id
    pinned = known.revision if known else hub_cache.fetched_commit(model_id)
    found = hub.listing(model_id, revision or pinned or "main")
    try:
        repository = hub_cache.repository(model_id)
        lock = repository.parent / ".locks" / repository.name / "phichat-pull.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            return _Pull(found, repository, on_progress, cancelled).run()
    except Timeout:
        raise ModelError(
            f"{model_id} is being fetched already, perhaps in another window: wait for that."
        ) from None
    except OSError as error:
        raise ModelError(_disk_sentence(error)) from error


class _Pull:
    """One pull of listed files."""

    def __init__(
        self,
        found: Listing,
        repository: Path,
        on_progress: OnProgress | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._found = found
        self._repository = repository
        self._blobs = repository / "blobs"
        self._snapshot = hub_cache.snapshot(found.model_id, found.commit)
        self._total = sum(file.size for file in found.files)
        self._meter = Meter(self._total, on_progress)
        self._cancelled = cancelled
        self._fetched = 0

    def run(self) -> Pulled:
        found = self._found
        if not any(file.name == "config.json" for file in found.files):
            raise ModelError(f"{found.model_id} has no config.json: it is no model for phichat.")
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._snapshot.mkdir(parents=True, exist_ok=True)
        self._check_space()
        for file in found.files:  # small ones first: another kind of model fails at once
            self._provide(file)
            if file.name == "config.json":
                family_of(self._snapshot)  # raises for a type without a family
        if missing := missing_files(self._snapshot):
            raise ModelError(
                f"{found.model_id} has no {missing[0]} at {hub.endpoint()}: it is no model that "
                "phichat can use."
            )
        self._write_ref()
        return Pulled(found.model_id, found.commit, self._snapshot, self._total, self._fetched)

    def _check_space(self) -> None:
        wanted = 0
        for file in self._found.files:
            blob, partial = self._paths(file)
            if not os.path.exists(blob):
                wanted += file.size - (partial.stat().st_size if os.path.exists(partial) else 0)
        free = shutil.disk_usage(self._blobs).free
        if wanted > 0 and wanted + SPARE > free:
            raise ModelError(
                f"{self._found.model_id} takes {file_size(wanted)} more, and {file_size(free)} are "
                f"free on the disk of {self._repository.parent}: free some, or set HF_HOME to a "
                "folder on another disk.",
                code="disk_full",
            )

    def _paths(self, file: HubFile) -> tuple[Path, Path]:
        return self._blobs / file.digest, self._blobs / f"{file.digest}.incomplete"

    def _provide(self, file: HubFile) -> None:
        """Fetch or check a file, then link it into the snapshot."""
        blob, partial = self._paths(file)
        if not (os.path.exists(blob) and self._is_right(blob, file)):
            blob.unlink(missing_ok=True)
            self._fetch(file, partial)
            os.replace(partial, blob)
        link = self._snapshot / file.name
        if not (os.path.exists(link) and link.samefile(blob)):
            link.unlink(missing_ok=True)
            try:
                link.symlink_to(Path("..", "..", "blobs", file.digest))
            except OSError:  # Windows restricts symbolic links; both names are on one disk
                os.link(blob, link)
        self._meter.end()

    def _is_right(self, blob: Path, file: HubFile) -> bool:
        self._meter.begin("checking", file.name)
        if blob.stat().st_size != file.size:
            return False
        digest = digests.begin(file.digest, file.size)
        digests.feed(digest, blob, self._step)
        if digest.hexdigest() == file.digest:
            return True
        self._meter.add(-file.size)
        return False

    def _fetch(self, file: HubFile, partial: Path) -> None:
        digest, have, failures = digests.begin(file.digest, file.size), 0, 0
        with partial.open("ab", buffering=0) as out:
            if out.tell() > file.size:
                out.truncate(0)
            elif out.tell():
                self._meter.begin("checking", file.name)
                digests.feed(digest, partial, self._step)
                have = out.tell()
            self._meter.begin("fetching", file.name)
            while have < file.size:
                try:
                    with hub.content(self._found, file, have) as (start, pieces):
                        if start != have:
                            out.truncate(0)
                            digest = digests.begin(file.digest, file.size)
                            self._meter.add(-have)
                            have = 0
                        for piece in pieces:
                            _write(out, piece)
                            digest.update(piece)
                            have += len(piece)
                            self._fetched += len(piece)
                            failures = 0
                            self._step(len(piece))
                            if have > file.size:  # else a server could fill the disk
                                break
                    if have < file.size:
                        raise BrokenOffError("the connection broke off")
                except BrokenOffError as error:
                    self._wait(failures, error)
                    failures += 1
            os.fsync(out.fileno())
        if have != file.size or digest.hexdigest() != file.digest:
            partial.unlink()
            raise ModelError(
                f"{file.name} came damaged: its checksum is not the one that {hub.endpoint()} "
                "states. It was thrown away; run the same again, or try another mirror "
                "(HF_ENDPOINT).",
                code="checksum",
            )

    def _step(self, count: int) -> None:
        if self._cancelled():
            raise PullCancelled("The fetching was stopped; what came is kept.")
        self._meter.add(count)

    def _wait(self, failures: int, error: BrokenOffError) -> None:
        if failures == len(WAITS):
            raise ModelError(
                f"Fetching from {hub.endpoint()} failed ({error}, {failures + 1} times); what came "
                "is kept: run the same again later, and it goes on there."
            ) from error
        until = time.monotonic() + WAITS[failures]
        while time.monotonic() < until:
            self._step(0)
            time.sleep(0.1)

    def _write_ref(self) -> None:
        ref = self._repository / "refs" / hub_cache.OUR_REF
        ref.parent.mkdir(exist_ok=True)
        new = ref.with_name(f"{ref.name}.new")
        new.write_text(self._found.commit, encoding="ascii")
        os.replace(new, ref)


def _write(out: RawIOBase, piece: bytes) -> None:
    """Write a whole piece, because a raw file may take less at once."""
    rest = memoryview(piece)
    while rest:
        rest = rest[out.write(rest) or 0 :]


def _disk_sentence(error: OSError) -> str:
    cache = hub_cache.cache_folder()
    if error.errno in _FULL:
        return (
            f"The disk of {cache} is full (or files may not be larger: ulimit -f); what came is "
            "kept: make room and run the same again."
        )
    return (
        f"{error.filename or cache} can't be written ({error.strerror or error}): check its "
        "permissions, or set HF_HOME to another folder."
    )
