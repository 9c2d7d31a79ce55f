"""Recovery when memory runs out during a computation: make room, try once more."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from assistant.values.errors import ModelError

T = TypeVar("T")

SENTENCE = (
    "The device ran out of memory: start a new chat, attach fewer pictures, or close other "
    "programs that use it."
)

_WORDS = (
    "out of memory",  # CUDA, MPS
    "not enough memory",  # torch on CPUs, Windows
    "can't allocate memory",  # torch on CPUs elsewhere
    "CUBLAS_STATUS_ALLOC_FAILED",
    "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of Python, torch or a library below it means too little memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)


def with_room(compute: Callable[[], T], make_room: Callable[[], None]) -> T:
    """Return ``compute()``, run a second time after ``make_room`` if memory ran out.

    Raises ModelError ("memory") when that was not enough. ``compute`` must bear
    being run again after it failed anywhere.
    """
    for first in (True, False):
        try:
            return compute()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # past the handler: the traceback, which holds the tensors of the failed pass, is gone
        if first:
            make_room()
            release()
    raise ModelError(SENTENCE, code="memory")


def release() -> None:
    """Hand memory that is no longer used back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
