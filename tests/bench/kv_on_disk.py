"""Cost of restoring a conversation's KV: from disk, from a copy, or by a prefill.

    python -m tests.bench.kv_on_disk [--tokens 2000] [--folder DIR]

Random weights of the "mid" and "wide" decoders in float32. Reads are from disk, not from the page
cache, where the system allows to ask for that. One JSON document on the last line.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from assistant.core.cache.kv_cache import KVCache
from assistant.core.generate import ResidentModel
from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from tests.bench.make_checkpoint import SIZES, config


def decoder(size: str) -> Phi3VForCausalLM:
    """A model with random weights and next to no vision tower."""
    values: dict[str, Any] = config(*SIZES[size])
    values.pop("model_type")
    small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    values["img_processor"] |= {
        "clip_config": small | {"num_hidden_layers": 2, "image_size": 336, "patch_size": 84}
    }
    made = Phi3VConfig(**values)
    made._attn_implementation = "sdpa"
    return Phi3VForCausalLM(made).float().eval().requires_grad_(False)


def timed(action: Callable[[], Any]) -> float:
    """Seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure(size: str, tokens: int, folder: Path) -> dict[str, float]:
    """Seconds per 1,000 positions, each way."""
    model = decoder(size)
    caches: list[KVCache] = []

    def new_cache(*arguments: Any) -> KVCache:
        caches.append(KVCache(model.config.num_hidden_layers, *arguments))
        return caches[-1]

    resident = ResidentModel(model, frozenset(), 8192, new_cache=new_cache)
    prompt = Prompt((tuple(range(10, 10 + tokens)),))
    sampling = Sampling(max_new_tokens=1)
    prefill_s = timed(lambda: list(resident.generate(prompt, sampling, lambda _: None, bool)))
    cache = caches[0]
    copy_s = min(timed(lambda: cache.copy(tokens)) for _ in range(3))
    kept = {
        f"{kind}.{index}": getattr(layer, kind)[:, :, : cache.length].contiguous()
        for index, layer in enumerate(cache.layers)
        for kind in ("keys", "values")
    }
    path = folder / f"{size}.safetensors"

    def write() -> None:
        save_file(kept, path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    write_s = timed(write)
    read_s = timed(lambda: [tensor.clone() for tensor in load_file(path).values()])
    ways = {"prefill_s": prefill_s, "copy_s": copy_s, "write_s": write_s, "read_s": read_s}
    return {name: round(seconds * 1000 / tokens, 4) for name, seconds in ways.items()} | {
        "mib": round(path.stat().st_size / 2**20 * 1000 / tokens, 1)
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument(
        "--folder", type=Path, help="where to write; a temporary folder if not given"
    )
    given = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for size in ("mid", "wide"):
            results[size] = measure(size, given.tokens, Path(folder))
    print(json.dumps({"per": "1000 positions", "threads": torch.get_num_threads(), **results}))


if __name__ == "__main__":
    main()
