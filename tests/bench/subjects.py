"""Subjects of measurement: our model in a format, transformers' on its weights, filled caches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache, Phi3Config, Phi3ForCausalLM
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

from assistant.core.cache.kv_cache import KVCache
from assistant.core.weights import load_model
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import regime_of
from tests.bench.make_checkpoint import SIZES, make_checkpoint
from tests.conftest import GOLDENS

CPU = torch.device("cpu")
FORMATS = {  # name in the report: dtype of the matrices, format of the weights
    "float32": (torch.float32, "float"),
    "bfloat16": (torch.bfloat16, "float"),
    "int8": (torch.float32, "int8"),
}


@dataclass(frozen=True)
class Scale:
    """The size of a run; ``quick`` proves that everything runs, its figures mean nothing."""

    folders: dict[str, Path]
    rounds: int = 7
    contexts: tuple[int, int, int] = (450, 8000, 32000)
    prefill: int = 1024
    history: int = 5100
    histories: tuple[int, int] = (1000, 16000)
    tower_crops: int = 17


def full_scale(cache: Path, tokenizer: Path | None) -> Scale:
    """Checkpoints "mid" and "wide" in ``cache``, made where they are missing."""
    folders = {name: cache / name for name in ("mid", "wide")}
    for name, folder in folders.items():
        if not (folder / "model.safetensors.index.json").exists():
            make_checkpoint(folder, *SIZES[name], tokenizer=tokenizer)
    return Scale(folders)


def quick_scale() -> Scale:
    """The goldens' tiny model in the place of both."""
    folders = dict.fromkeys(("mid", "wide"), GOLDENS / "tiny-phi3v")
    return Scale(folders, 2, (40, 100, 300), 100, 300, (100, 400), 2)


def ours(folder: Path, name: str = "float32") -> Phi3VForCausalLM:
    """Our model with its matrices as one of :data:`FORMATS`."""
    dtype, weights = FORMATS[name]
    return load_model(folder, device=CPU, dtype=dtype, weights=weights)


def transformers_own(model: Phi3VForCausalLM) -> Phi3ForCausalLM:
    """transformers' text model on the very same float32 tensors."""
    mine = model.config
    config = Phi3Config(
        **{key: getattr(mine, key) for key in (
            "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "num_key_value_heads", "max_position_embeddings",
            "original_max_position_embeddings", "rms_norm_eps", "rope_parameters",
        )},
        sliding_window=None, pad_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        other = Phi3ForCausalLM(config)
    other.model.rotary_emb = Phi3RotaryEmbedding(config)
    shared = {k: v for k, v in model.state_dict().items() if "vision_embed_tokens" not in k}
    other.load_state_dict(shared, assign=True)
    other.set_attn_implementation("sdpa")
    return other.eval()


def filled(model: Phi3VForCausalLM, positions: int, kind: str = "float") -> KVCache:
    """Our cache with ``positions`` of random keys and values; a prefill would take minutes."""
    config = model.config
    cache = KVCache(config.num_hidden_layers, regime_of(positions + 64, config), kind)
    cache.reserve(positions + 64)
    for index, states in enumerate(_states(model, positions)):
        cache.update(states, states, index)
    return cache


def filled_dynamic(model: Phi3VForCausalLM, positions: int) -> DynamicCache:
    """transformers' cache with the same."""
    cache = DynamicCache()
    for index, states in enumerate(_states(model, positions)):
        cache.update(states.clone(), states.clone(), index)
    return cache


def _states(model: Phi3VForCausalLM, positions: int) -> list[torch.Tensor]:
    config = model.config
    head_dim = config.hidden_size // config.num_attention_heads
    shape = (1, config.num_key_value_heads, positions, head_dim)
    one = torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 0.5
    return [one] * config.num_hidden_layers


def embeddings(model: Phi3VForCausalLM, count: int, seed: int = 0) -> torch.Tensor:
    """[count, hidden] of random tokens."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 30000, (count,), generator=generator)
    found: torch.Tensor = model.model.embed_tokens(ids)
    return found


def weights_nbytes(model: Phi3VForCausalLM) -> int:
    """Bytes of all weights in their formats."""
    total = sum(p.nbytes for p in model.parameters())
    for module in model.modules():
        buffers: dict[str, Any] = dict(module.named_buffers(recurse=False))
        total += sum(b.nbytes for b in buffers.values() if b is not None)
    return total
