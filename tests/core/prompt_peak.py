"""Run as a process of its own: answer one prompt with a picture, print what memory it took.

    python -m tests.core.prompt_peak FOLDER DTYPE WEIGHTS KV TOKENS CROPS

The peak is the kernel's (VmHWM), set back after the libraries are imported. Of the libraries only
their own memory counts, not the pages of their files: how many of those are mapped depends on how
the page cache holds them. After a plain read of libtorch_cpu.so it does so in large pages, and
touching 207 places of it maps 398 MB instead of 18 (Linux 6.18, ext4).

numba and LLVM are libraries too: imported while a prompt is answered, as in a worker, they take
69 MiB of files and 40 of their own. A process that compiles the kernels, once a machine, takes 72
more, so that it says how many it compiled.
"""

from __future__ import annotations

import ctypes
import json
import sys
from functools import partial
from pathlib import Path

import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.cpu.acceleration import loose_kernels
from assistant.core.generate import ResidentModel
from assistant.core.weights import load_model
from assistant.families.registry import family_of
from assistant.phi3v.crops import CROP
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling


def memory(key: str) -> int:
    """A size in bytes from this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


MADV_POPULATE_READ = 22


def map_libraries() -> None:
    """Have every page of the libraries' files mapped, so that none is counted as growth later."""
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, mode, *_, name = line.split(maxsplit=5)
        if ".so" in name and mode.startswith("r"):
            start, end = (int(address, 16) for address in addresses.split("-"))
            madvise(start, end - start, MADV_POPULATE_READ)  # an old kernel refuses: less exact


def compiled() -> int:
    """Count the kernels that were not in numba's cache."""
    modules = [one for name, one in sys.modules.items() if name.startswith("assistant.core.cpu.")]
    kernels = [one for module in modules for one in vars(module).values() if hasattr(one, "stats")]
    return sum(sum(one.stats.cache_misses.values()) for one in kernels)


def main() -> None:
    folder, dtype, weights, kv = sys.argv[1:5]
    family_of(Path(folder)).runtime()  # imports what the family loads with
    loose_kernels()  # imports numba
    tokens, columns = int(sys.argv[5]), int(sys.argv[6])
    map_libraries()
    before, libraries = memory("VmRSS"), memory("RssAnon")
    Path("/proc/self/clear_refs").write_text("5")
    model = load_model(
        Path(folder), device=torch.device("cpu"), dtype=getattr(torch, dtype), weights=weights
    )
    loaded = memory("VmRSS") - before
    resident = ResidentModel(
        model,
        frozenset({2}),
        131_072,
        new_cache=partial(KVCache, model.config.num_hidden_layers, kind=kv),
    )
    slot = Slot("a", columns, (columns + 1) * 144 + 1 + 2 * 12)
    text = tuple(3 + i % 5000 for i in range(tokens - slot.tokens))
    crops = torch.full((columns + 1, 3, CROP, CROP), 0.5)
    for _ in resident.generate(
        Prompt((text[:10], slot, text[10:])),
        Sampling(max_new_tokens=3),
        lambda _: (crops, (CROP, CROP * columns)),
        lambda: False,
    ):
        pass
    peak = memory("VmHWM") - before
    took = {"libraries": libraries, "loaded": loaded, "peak": peak, "compiled": compiled()}
    print(json.dumps(took))


if __name__ == "__main__":
    main()
