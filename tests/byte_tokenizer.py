"""A tokenizer of single bytes in the official form: for tests in which the ids don't matter.

Same normalizer, decoder, post-processor and control tokens as the official
one. Text is encoded as single bytes; the rest of the vocabulary are made-up
words, so that every id that a random model chooses shows as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, processors
from tokenizers.models import BPE

BYTES = 3
"""The id of byte 0."""
CONTROL = [("<|endoftext|>", False), ("<|assistant|>", True), ("<|system|>", False),
           ("<|end|>", False), ("<|user|>", False), ("<|image|>", True)]  # fmt: skip


def write_tokenizer(folder: Path, size: int) -> None:
    """Write tokenizer.json and tokenizer_config.json for a vocabulary of ``size`` ids."""
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2}
    vocabulary |= {f"<0x{byte:02X}>": BYTES + byte for byte in range(256)}
    vocabulary["▁"] = BYTES + 256
    for word in range(len(vocabulary), size - len(CONTROL)):
        vocabulary[f"▁w{word}"] = word
    model = BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True)
    save(with_controls(pipeline(model), CONTROL), folder)


def pipeline(model: BPE) -> Tokenizer:
    """Return ``model`` between the official normalizer and decoder."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def with_controls(tokenizer: Tokenizer, controls: Iterable[tuple[str, bool]]) -> Tokenizer:
    """Add control tokens (name, rstrip) and the official post-processor."""
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in ("<unk>", "<s>")])
    tokenizer.add_tokens([AddedToken("</s>", rstrip=True, normalized=False)])
    tokenizer.add_special_tokens(
        [AddedToken(name, rstrip=rstrip, normalized=False) for name, rstrip in controls]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "bos_token": "<s>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
