"""A Phi-3 folder as GGUF: python write_gguf.py FOLDER MODEL.gguf NAME. Needs gguf and numpy alone.

NAME is general.name: "Phi 3 Vision 128k Instruct" is what llama.cpp's converter makes of the
official folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file of float32."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            piece = data[8 + size + begin : 8 + size + end]
            found[name] = np.frombuffer(piece, np.float32).reshape(entry["shape"])
    return found


def main() -> None:
    """Write what llama.cpp's converter writes for Phi-3."""
    folder, out, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "phi3")
    writer.add_name(name)
    add_sizes(writer, config)
    writer.add_rope_scaling_orig_ctx_len(config["original_max_position_embeddings"])
    rotary = config["hidden_size"] // config["num_attention_heads"]
    writer.add_rope_dimension_count(rotary)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_sliding_window(config.get("sliding_window") or 0)
    growth = config["max_position_embeddings"] / config["original_max_position_embeddings"]
    original = config["original_max_position_embeddings"]
    writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(growth) / np.log(original))))
    for kind in ("long", "short"):
        factors = np.array(config["rope_scaling"][f"{kind}_factor"], np.float32)
        writer.add_tensor(f"rope_factors_{kind}.weight", factors)
    template = json.loads((folder / "tokenizer_config.json").read_text())["chat_template"]
    add_vocabulary(writer, folder, config["vocab_size"], template, end=32007)
    for tensor, values in tensors(folder / "model.safetensors").items():
        stem, _, _ = tensor.rpartition(".")
        if stem.startswith("model.layers."):
            _, _, layer, part = stem.split(".", 3)
            writer.add_tensor(f"blk.{layer}.{NAMES[part]}.weight", values)
        else:
            writer.add_tensor(f"{NAMES[stem]}.weight", values)
    finish(writer)


def add_sizes(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    """Write the sizes of a decoder whose weights are float32."""
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def finish(writer: gguf.GGUFWriter) -> None:
    """Write the file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_vocabulary(
    writer: gguf.GGUFWriter, folder: Path, size: int, template: str, *, end: int
) -> None:
    """Write tokenizer.json as a sentencepiece vocabulary: merges in their order are its scores."""
    read = json.loads((folder / "tokenizer.json").read_text())
    vocabulary, added = read["model"]["vocab"], read["added_tokens"]
    pieces = [f"[PAD{n}]" for n in range(size)]
    kinds = [gguf.TokenType.UNUSED] * size
    for piece, index in vocabulary.items():
        byte = piece.startswith("<0x") and len(piece) == 6
        pieces[index] = piece
        kinds[index] = gguf.TokenType.BYTE if byte else gguf.TokenType.NORMAL
    for one in added:
        pieces[one["id"]], kinds[one["id"]] = one["content"], gguf.TokenType.CONTROL
    kinds[0] = gguf.TokenType.UNKNOWN
    scores = [-float(index) for index in range(size)]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(end)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(template)


if __name__ == "__main__":
    main()
