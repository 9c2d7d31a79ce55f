"""A checkpoint of random weights in the official layout, of any size.

    python -m tests.bench.make_checkpoint OUT --size full
    python -m tests.bench.make_checkpoint OUT --hidden 768 --mlp 2048 --layers 12 --heads 8

Sizes: "mid", "wide" and "full" (Phi-3-vision itself, 8.3 GB in bfloat16). The CLIP
tower is always the real ViT-L/14-336, in two shards with an index. A tokenizer is
copied from ``--tokenizer FOLDER`` when given; without one the folder serves loading
and the Python API only.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

SIZES = {  # hidden, MLP, layers, heads
    "mid": (768, 2048, 12, 8),
    "wide": (3072, 8192, 4, 32),
    "full": (3072, 8192, 32, 32),
}
VOCABULARY = 32064
CLIP_WIDTH, CLIP_MLP, CLIP_LAYERS, PATCH = 1024, 4096, 24, 14
SHARDS = 2

Shape = tuple[int, ...]


def weights(hidden: int, mlp: int, layers: int) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of the official checkpoint, in its order of use."""
    yield "model.embed_tokens.weight", (VOCABULARY, hidden)
    for index in range(layers):
        layer = f"model.layers.{index}."
        yield layer + "input_layernorm.weight", (hidden,)
        yield layer + "self_attn.qkv_proj.weight", (3 * hidden, hidden)
        yield layer + "self_attn.o_proj.weight", (hidden, hidden)
        yield layer + "post_attention_layernorm.weight", (hidden,)
        yield layer + "mlp.gate_up_proj.weight", (2 * mlp, hidden)
        yield layer + "mlp.down_proj.weight", (hidden, mlp)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (VOCABULARY, hidden)
    vision = "model.vision_embed_tokens."
    yield vision + "glb_GN", (1, 1, 4 * CLIP_WIDTH)
    yield vision + "sub_GN", (1, 1, 1, 4 * CLIP_WIDTH)
    for part, width in ((0, 4 * CLIP_WIDTH), (2, hidden)):
        yield f"{vision}img_projection.{part}.weight", (hidden, width)
        yield f"{vision}img_projection.{part}.bias", (hidden,)
    clip = vision + "img_processor.vision_model."
    patches = (336 // PATCH) ** 2
    yield clip + "embeddings.class_embedding", (CLIP_WIDTH,)
    yield clip + "embeddings.patch_embedding.weight", (CLIP_WIDTH, 3, PATCH, PATCH)
    yield clip + "embeddings.position_embedding.weight", (patches + 1, CLIP_WIDTH)
    norms = ["pre_layrnorm", "post_layernorm"]
    for index in range(CLIP_LAYERS):
        layer = f"encoder.layers.{index}."
        norms += [layer + "layer_norm1", layer + "layer_norm2"]
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{clip}{layer}self_attn.{name}.weight", (CLIP_WIDTH, CLIP_WIDTH)
            yield f"{clip}{layer}self_attn.{name}.bias", (CLIP_WIDTH,)
        yield f"{clip}{layer}mlp.fc1.weight", (CLIP_MLP, CLIP_WIDTH)
        yield f"{clip}{layer}mlp.fc1.bias", (CLIP_MLP,)
        yield f"{clip}{layer}mlp.fc2.weight", (CLIP_WIDTH, CLIP_MLP)
        yield f"{clip}{layer}mlp.fc2.bias", (CLIP_WIDTH,)
    for norm in norms:
        yield f"{clip}{norm}.weight", (CLIP_WIDTH,)
        yield f"{clip}{norm}.bias", (CLIP_WIDTH,)


def config(hidden: int, mlp: int, layers: int, heads: int) -> dict[str, object]:
    """config.json with the official keys; the LongRoPE factors are made up but of that kind."""
    half = hidden // heads // 2
    return {
        "architectures": ["Phi3VForCausalLM"],
        "auto_map": {"AutoConfig": "configuration_phi3_v.Phi3VConfig"},
        "bos_token_id": 1,
        "embd_layer": {
            "embedding_cls": "image",
            "hd_transform_order": "sub_glb",
            "projection_cls": "mlp",
            "use_hd_transform": True,
            "with_learnable_separator": True,
        },
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "img_processor": {
            "image_dim_out": CLIP_WIDTH,
            "model_name": "openai/clip-vit-large-patch14-336",
            "name": "clip_vision_model",
            "num_img_tokens": 144,
        },
        "intermediate_size": mlp,
        "max_position_embeddings": 131072,
        "model_type": "phi3_v",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": heads,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {
            "long_factor": [1.0 + 63.0 * i / half for i in range(half)],
            "short_factor": [1.0 + 2.0 * i / half for i in range(half)],
            "type": "su",
        },
        "rope_theta": 10000.0,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": VOCABULARY,
        "_attn_implementation": "flash_attention_2",
    }


def make_checkpoint(
    out: Path,
    hidden: int,
    mlp: int,
    layers: int,
    heads: int,
    tokenizer: Path | None = None,
    device: str = "cpu",
) -> int:
    """Write the folder; returns the bytes of its weights. Needs one shard of memory.

    The numbers are drawn on ``device``: a card needs a second for what takes a processor a minute.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config(hidden, mlp, layers, heads), indent=2))
    preprocessor = {"num_crops": 16, "num_img_tokens": 144}
    (out / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2))
    if tokenizer is not None:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(tokenizer / name, out / name)

    shapes = list(weights(hidden, mlp, layers))
    total = sum(2 * math.prod(shape) for _, shape in shapes)
    generator = torch.Generator(device).manual_seed(0)
    index: dict[str, str] = {}
    shard: dict[str, torch.Tensor] = {}
    written = size = 0
    for position, (name, shape) in enumerate(shapes):
        if len(shape) > 1:
            # 0.02 as in training; drawn in blocks of one row repeated would be cheaper, but the
            # loader must not profit from equal pages
            values = torch.empty(shape, dtype=torch.bfloat16, device=device)
            values = values.normal_(0, 0.02, generator=generator).cpu()
        else:
            values = torch.full(shape, float("norm" in name and name.endswith("weight")))
        shard[name] = values.to(torch.bfloat16)
        size += 2 * math.prod(shape)
        last = position == len(shapes) - 1
        if last or (written < SHARDS - 1 and size >= total * (written + 1) / SHARDS):
            written += 1
            file = f"model-{written:05d}-of-{SHARDS:05d}.safetensors"
            save_file(shard, out / file, metadata={"format": "pt"})
            index.update(dict.fromkeys(shard, file))
            shard = {}
    (out / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    )
    return total


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--tokenizer", type=Path)
    for name, default in zip(("hidden", "mlp", "layers", "heads"), SIZES["mid"], strict=True):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    shape = (
        SIZES[given.size] if given.size else (given.hidden, given.mlp, given.layers, given.heads)
    )
    total = make_checkpoint(given.out, *shape, tokenizer=given.tokenizer)
    print(f"{given.out}: {total / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
