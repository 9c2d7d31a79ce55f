"""A LLaVA folder as two GGUFs: python write_llava_gguf.py FOLDER MODEL.gguf MMPROJ.gguf.

MMPROJ.gguf has the vision tower and the projector. Needs gguf and numpy alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from write_gguf import add_sizes, add_vocabulary, finish, tensors

DECODER = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TOWER = {
    "embeddings.class_embedding": "class_embd",
    "embeddings.patch_embedding": "patch_embd",
    "embeddings.position_embedding": "position_embd",
    "pre_layrnorm": "pre_ln",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
PROJECTOR = {"linear_1": "mm.0", "linear_2": "mm.2"}


def write_decoder(folder: Path, config: dict[str, Any], out: str) -> None:
    """Write the decoder as the Llama that it is."""
    text = config["text_config"]
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name("llava")
    writer.add_vocab_size(text["vocab_size"])
    add_sizes(writer, text)
    writer.add_rope_dimension_count(text["head_dim"])
    writer.add_rope_freq_base(text["rope_parameters"]["rope_theta"])
    template = (folder / "chat_template.jinja").read_text()
    add_vocabulary(writer, folder, text["vocab_size"], template, end=text["eos_token_id"])
    for tensor, values in tensors(folder / "model.safetensors").items():
        if not tensor.startswith("language_model."):
            continue
        stem = tensor.removeprefix("language_model.").removesuffix(".weight")
        if not stem.startswith("model.layers."):
            writer.add_tensor(f"{DECODER[stem]}.weight", values)
            continue
        _, _, layer, part = stem.split(".", 3)
        if part in ("self_attn.q_proj", "self_attn.k_proj"):
            values = _interleaved(values, text["num_attention_heads"])
        writer.add_tensor(f"blk.{layer}.{DECODER[part]}.weight", values)
    finish(writer)


def _interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Return the rows of each head in the order of llama.cpp's rotation: pairs are neighbours."""
    rows, columns = values.shape
    halves = values.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def write_tower(folder: Path, config: dict[str, Any], out: str) -> None:
    """Write the vision tower, up to the layer that is read, and the projector."""
    vision = config["vision_config"]
    image = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    read = vision["num_hidden_layers"] + 1 + config["vision_feature_layer"]
    writer = gguf.GGUFWriter(out, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", vision["hidden_act"] == "gelu")
    writer.add_uint32("clip.vision.image_size", vision["image_size"])
    writer.add_uint32("clip.vision.patch_size", vision["patch_size"])
    writer.add_uint32("clip.vision.embedding_length", vision["hidden_size"])
    writer.add_uint32("clip.vision.feed_forward_length", vision["intermediate_size"])
    writer.add_uint32("clip.vision.projection_dim", config["text_config"]["hidden_size"])
    writer.add_uint32("clip.vision.attention.head_count", vision["num_attention_heads"])
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", vision["layer_norm_eps"])
    writer.add_uint32("clip.vision.block_count", read)
    writer.add_array("clip.vision.feature_layer", [read])
    writer.add_array("clip.vision.image_mean", image["image_mean"])
    writer.add_array("clip.vision.image_std", image["image_std"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor, values in tensors(folder / "model.safetensors").items():
        if tensor.startswith("multi_modal_projector."):
            _, part, kind = tensor.split(".")
            writer.add_tensor(f"{PROJECTOR[part]}.{kind}", values)
        elif tensor.startswith("vision_tower."):
            name = tensor.removeprefix("vision_tower.vision_model.")
            if name == "embeddings.class_embedding":
                writer.add_tensor("v.class_embd", values)
            elif name.startswith("encoder.layers."):
                _, _, layer, rest = name.split(".", 3)
                part, _, kind = rest.rpartition(".")
                if int(layer) < read:
                    writer.add_tensor(f"v.blk.{layer}.{TOWER[part]}.{kind}", values)
            elif not name.startswith("post_layernorm"):
                part, _, kind = name.rpartition(".")
                writer.add_tensor(f"v.{TOWER[part]}.{kind}", values)
    finish(writer)


def main() -> None:
    """Write both files."""
    folder = Path(sys.argv[1])
    config = json.loads((folder / "config.json").read_text())
    write_decoder(folder, config, sys.argv[2])
    write_tower(folder, config, sys.argv[3])


if __name__ == "__main__":
    main()
