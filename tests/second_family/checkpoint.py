"""Writes a checkpoint of the tiny family: random weights, a byte tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from tests.second_family.family import decoder_shape, weight_shapes

MODEL_TYPE = "tiny_chatml"
CONTEXT = 1024
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")


def write_checkpoint(folder: Path) -> Path:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in CONTROL])
    config = {
        "model_type": MODEL_TYPE,
        "dtype": "float32",
        "hidden_size": 40,
        "intermediate_size": 56,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
    }
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text("{}")
    generator = torch.Generator().manual_seed(3)
    weights = {}
    for name, shape in weight_shapes(decoder_shape(config)).items():
        if "norm" in name:
            weights[name] = torch.ones(shape)
        else:
            scale = 1.0 if "embed" in name else 1.6 * shape[-1] ** -0.5
            weights[name] = torch.randn(shape, generator=generator) * scale
    save_file(weights, folder / "model.safetensors")
    return folder
