"""openvino-tokenizers on a folder: python openvino_parts.py FOLDER < JSON, prints JSON."""

from __future__ import annotations

import json
import sys

import openvino
from openvino_tokenizers import convert_tokenizer
from transformers import PreTrainedTokenizerFast


def main() -> None:
    """Print the ids of each text."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=f"{sys.argv[1]}/tokenizer.json",
        bos_token="<s>",
        eos_token="<|endoftext|>",
        unk_token="<unk>",
        pad_token="<|endoftext|>",
    )
    model = openvino.compile_model(convert_tokenizer(tokenizer), "CPU")
    texts = json.load(sys.stdin)["texts"]
    print(json.dumps({"ids": [model([text])["input_ids"][0].tolist() for text in texts]}))


if __name__ == "__main__":
    main()
