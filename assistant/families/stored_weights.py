"""Weights in a checkpoint's safetensors files, by their headers. No torch."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.families.checkpoint import weight_file_names
from assistant.families.model_files import open_regular
from assistant.families.sizes import Shape
from assistant.values.errors import ModelError
from assistant.values.text import one_line
from assistant.values.words import counted

NUMBER_FORMATS = ("float32", "bfloat16", "float16")
"""Formats that a checkpoint may be computed in."""

_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
_ITEM_BYTES |= {"U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
_COMPUTED = ("F64", "F32", "F16", "BF16")
_HEADER_LIMIT = 100 * 2**20
"""safetensors' own limit."""


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """One stored weight; ``dtype`` is safetensors' name ("BF16"), ``path`` its file."""

    shape: Shape
    dtype: str
    path: Path

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numbers * _ITEM_BYTES.get(self.dtype, 4)


def stored_weights(folder: Path) -> dict[str, StoredWeight]:
    """List every weight of the safetensors files, read from their headers (some kilobytes).

    Raises ModelError when a file is missing, cut short or no safetensors file.
    """
    found: dict[str, StoredWeight] = {}
    for name in weight_file_names(folder):
        found |= _header(folder / name)
    return found


def check_weights(
    folder: Path,
    stored: Mapping[str, StoredWeight],
    wanted: Collection[str],
    is_ignored: Callable[[str], bool],
) -> None:
    """Check that a model reads all of the stored weights and can compute with them.

    Scales and packed numbers that nothing reads are the sign of a format that is half understood:
    such a model would talk gibberish. Raises ModelError.
    """
    if unread := sorted(name for name in stored if name not in wanted and not is_ignored(name)):
        raise ModelError(
            f"{folder} holds {counted(len(unread), 'weight')} that phichat does not know (the "
            f"first: {one_line(unread[0], 80)}), so the model would not be understood: get the "
            "checkpoint as its makers published it."
        )
    for name in wanted:
        if name in stored and stored[name].dtype not in _COMPUTED:
            raise ModelError(
                f"{name} in {folder} is stored as {one_line(stored[name].dtype, 20)}, a format "
                "that phichat does not read: get the checkpoint in bfloat16, float16 or float32."
            )


def _header(path: Path) -> dict[str, StoredWeight]:
    """Read a header: 8 bytes little-endian length, that much JSON, then the numbers."""
    try:
        with open_regular(path) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_LIMIT:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
            size = path.stat().st_size - 8 - length
        header.pop("__metadata__", None)
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        weights = {
            str(name): StoredWeight(tuple(map(int, entry["shape"])), str(entry["dtype"]), path)
            for name, entry in header.items()
        }
    except FileNotFoundError:
        raise ModelError(f"{path.parent} lacks {path.name}: fetch the model again.") from None
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}): check the folder.") from None
    except (RecursionError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        raise ModelError(f"{path} is damaged: fetch the model again.") from None
    if size < end:
        raise ModelError(
            f"{path} is cut short ({size} of {end} bytes of weights): fetch the model again."
        )
    return weights


def stored_dtype(config: Mapping[str, Any], folder: Path) -> str:
    """Read the number format from config.json. Raises ModelError if it can't be used."""
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    if dtype not in NUMBER_FORMATS:
        raise ModelError(
            f"{folder / 'config.json'} names the number format {dtype!r}: "
            f"only {', '.join(NUMBER_FORMATS)} can be used."
        )
    return dtype
