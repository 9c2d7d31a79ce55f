"""The standard Hugging Face cache on this machine. No network.

    models--microsoft--Phi-3-vision-128k-instruct/
        blobs/SHA256            a file by its expected checksum (git's SHA-1 for small ones)
        snapshots/COMMIT/NAME   a link to it
        refs/NAME               the commit that a name stands for

It is read without huggingface_hub's own functions, because these take a third of a second to
import, and return a snapshot with missing files as if it were whole.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from huggingface_hub import constants

from assistant.families.model_files import read_small

OUR_REF = "phichat"
"""Ref of the commit that “phichat models pull” fetched and checked. It is our own, because other
programs move “main” when they fetch something newer."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_hub_id(name: str) -> bool:
    """Check that ``name`` has the form of an id, owner/name."""
    return len(name) <= 96 and bool(_HUB_ID.fullmatch(name)) and ".." not in name


def cache_folder() -> Path:
    """Return the cache: HF_HUB_CACHE, or the folder “hub” of HF_HOME."""
    return Path(constants.HF_HUB_CACHE)


def repository(model_id: str) -> Path:
    """Return the folder of a model, which may not exist."""
    return cache_folder() / f"models--{model_id.replace('/', '--')}"


def fetched_commit(model_id: str) -> str | None:
    """Find the commit to use: phichat's own, else another program's “main”; None without files."""
    for name in (OUR_REF, "main"):
        try:
            commit = read_small(repository(model_id) / "refs" / name).decode("ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if _COMMIT.fullmatch(commit) and os.path.isdir(snapshot(model_id, commit)):
            return commit
    return None


def snapshot(model_id: str, commit: str) -> Path:
    """Return the folder of a commit's files, which may not exist."""
    return repository(model_id) / "snapshots" / commit


def fetched_ids() -> list[str]:
    """List the ids of models with files in the cache, sorted."""
    try:
        names = sorted(os.listdir(cache_folder()))
    except OSError:
        return []
    folders = (name for name in names if name.startswith("models--"))
    ids = (name.removeprefix("models--").replace("--", "/", 1) for name in folders)
    return [one for one in ids if is_hub_id(one)]
