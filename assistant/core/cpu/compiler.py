"""numba as it compiles the kernels: options, threads, and the instruction sets it may use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from llvmlite.binding import get_host_cpu_features
from numba import config, get_num_threads, njit
from numba.extending import intrinsic, overload

config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]  # OpenMP: torch's threads are used

# numba starts its threads when they are first asked for, and sets OpenMP's number of them, which is
# torch's. So they start here, and torch keeps the number that a user or a measurement chose.
_torchs = torch.get_num_threads()
get_num_threads()
torch.set_num_threads(_torchs)

F = TypeVar("F", bound=Callable[..., Any])

# Sums in any order, otherwise the arithmetic that is written; other threads run meanwhile.
_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",  # a check for a division by zero ends what is done many at a time
    "fastmath": {"reassoc", "contract"},
}
# Of what numba would make parallel by itself nothing is: each start of the threads takes time.
_ONLY_PRANGE = {"prange": True} | dict.fromkeys(
    ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False
)


def compiled(function: F) -> F:
    """Compile ``function``."""
    return cast(F, _kept(njit(**_OPTIONS)(function)))


def on_all_cores(function: F) -> F:
    """Compile ``function`` and share its ``prange`` among all cores."""
    return cast(F, _kept(njit(parallel=_ONLY_PRANGE, **_OPTIONS)(function)))


def _kept(dispatcher: Any) -> Any:
    """Keep the result until any file of this folder changes.

    numba itself compares the function's own file only, not those whose functions are part of it.
    """
    kept = dispatcher._cache._cache_file
    kept._source_stamp = (kept._source_stamp, _sources())
    return dispatcher


@cache
def _sources() -> bytes:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


def instruction(write: Callable[..., Any]) -> Any:
    """Make a function of LLVM instructions; ``write`` returns its signature and its generator."""
    return intrinsic(write)


def by_types(choose: F) -> F:
    """Make a function whose code is what ``choose`` returns for the types of its arguments."""

    def function(*arguments: Any) -> Any:
        raise NotImplementedError("called by compiled code only")

    overload(function, strict=False)(choose)  # names of parameters may have types
    return cast(F, function)


def has(feature: str) -> bool:
    """Whether code may use ``feature``, by LLVM's name: the processor's, or NUMBA_CPU_FEATURES."""
    named = config.CPU_FEATURES
    if named is None:
        return bool(get_host_cpu_features().get(feature))
    return f"+{feature}" in named.split(",")
