"""Picture features on disk: computed once per picture, whatever happens to the worker.

Seventeen crops take 46 s on a small CPU and their features 15 MB (bfloat16),
which are read in 0.02 s. The files are derived from private pictures: only
their owner may read them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from assistant.values.prompt import Slot

FORMAT = "1"
"""Changes when pictures are cut, encoded or stored differently."""

ABANDONED_S = 3600
"""Age from which an unfinished file is known to have no writer any more."""

_ENDING = ".safetensors"
_UNFINISHED = ".part"


def fingerprint(vision: nn.Module) -> str:
    """Name the weights of a vision tower as they are loaded, and the torch that computes.

    Hashes the first 4 KiB of every weight: about 2 MB for the real tower. It
    follows the weights, not their files, which may move or be fetched again.
    """
    seen = hashlib.sha256(f"{FORMAT} {torch.__version__}".encode())
    for name, weight in sorted(vision.state_dict().items()):
        start = weight.detach().flatten()[: 4096 // weight.element_size()].contiguous().cpu()
        seen.update(f"{name} {weight.device.type} {weight.dtype} {tuple(weight.shape)}".encode())
        seen.update(start.view(torch.uint8).numpy().tobytes())
    return seen.hexdigest()


class FeatureFiles:
    """A folder of features, at most ``quota`` bytes; what was read longest ago goes first.

    Several workers may share it: files appear whole or not at all. Whatever
    goes wrong with a file, the picture is encoded again; nothing is raised.
    """

    def __init__(self, folder: Path, quota: int) -> None:
        self._folder = folder
        self._quota = quota
        self._keep_within(quota)

    def read(self, slot: Slot, weights: str, dtype: torch.dtype) -> torch.Tensor | None:
        """Features [tokens, hidden] of a picture, or None when there are none to be trusted."""
        key = _key(slot, weights, dtype)
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
                features: torch.Tensor = file.get_tensor("features").clone()
        except (OSError, SafetensorError):
            return None
        if about != {"key": key, "digest": _digest(features)} or features.dtype != dtype:
            return None
        with suppress(OSError):
            os.utime(path)
        return features

    def write(self, slot: Slot, weights: str, features: torch.Tensor) -> None:
        """Store the features of a picture, replacing whatever had its name."""
        features = features.detach().cpu().contiguous()
        if features.nbytes > self._quota:
            return
        key = _key(slot, weights, features.dtype)
        content = save({"features": features}, {"key": key, "digest": _digest(features)})
        with suppress(OSError):  # a full disk costs time the next time, no more
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._keep_within(self._quota - len(content))
            # made with mode 0600
            handle, unfinished = tempfile.mkstemp(suffix=_UNFINISHED, dir=self._folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                os.replace(unfinished, self._path(key))
            except BaseException:
                with suppress(OSError):
                    os.unlink(unfinished)
                raise

    def _path(self, key: str) -> Path:
        return self._folder / (hashlib.sha256(key.encode()).hexdigest() + _ENDING)

    def _keep_within(self, most: int) -> None:
        """Delete what was read longest ago beyond ``most`` bytes, and what a killed worker left."""
        files = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):  # another worker may have deleted it
                    about = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(_UNFINISHED):
                        if about.st_mtime < time.time() - ABANDONED_S:
                            os.unlink(entry)
                    elif entry.name.endswith(_ENDING):
                        files.append((about.st_mtime, about.st_size, entry.path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= most:
                return
            with suppress(OSError):
                os.unlink(path)
            total -= size


def _key(slot: Slot, weights: str, dtype: torch.dtype) -> str:
    return f"{slot.pixels_sha256} {slot.detail} {slot.tokens} {weights} {dtype}"


def _digest(features: torch.Tensor) -> str:
    return hashlib.sha256(features.view(torch.uint8).numpy().data).hexdigest()
