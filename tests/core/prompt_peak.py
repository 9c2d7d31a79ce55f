"""Run as a process of its own: answer one prompt with a picture, print what memory it took.

    python -m tests.core.prompt_peak FOLDER DTYPE WEIGHTS KV TOKENS CROPS

The peak is the kernel's (VmHWM), set back after the libraries are imported.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import torch

from assistant.core import Prompt, Sampling, Slot
from assistant.core.cache import KVCache
from assistant.core.generation import ResidentModel
from assistant.core.weights import load_model
from assistant.phi3v.geometry import CROP


def memory(key: str) -> int:
    """A size in bytes from this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def main() -> None:
    folder, dtype, weights, kv = sys.argv[1:5]
    tokens, columns = int(sys.argv[5]), int(sys.argv[6])
    libraries = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    model = load_model(
        Path(folder), device=torch.device("cpu"), dtype=getattr(torch, dtype), weights=weights
    )
    loaded = memory("VmRSS")
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
    peak = memory("VmHWM") - libraries
    print(json.dumps({"libraries": libraries, "loaded": loaded - libraries, "peak": peak}))


if __name__ == "__main__":
    main()
