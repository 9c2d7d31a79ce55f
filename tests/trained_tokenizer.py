"""A tokenizer of the official kind, trained on a small text: the same rules, other ids.

Promises about the rules (where control tokens, blanks and pictures stand, which text comes
back) are held with it everywhere; the official files, which this project may not ship, are
needed only for promises about their ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Regex, pre_tokenizers, trainers
from tokenizers.models import BPE

from tests.byte_tokenizer import pipeline, save, with_controls

SIZE = 1000
"""Ids of bytes, characters and words, at most; the control tokens come behind them."""

KEEP_SPACE = ("<|endoftext|>", "<|system|>", "<|end|>", "<|user|>")
NAMES = [
    "<|endoftext|>", "<|assistant|>", *(f"<|placeholder{n}|>" for n in range(1, 5)),
    "<|system|>", "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>",
    *(f"<|placeholder{n}|>" for n in range(7, 40)), "<|image|>",
]  # fmt: skip
"""The control tokens in the order of their ids, as in the official file from 32000 on."""


def write_trained_tokenizer(folder: Path, texts: Iterable[str]) -> None:
    """Train on ``texts`` and write tokenizer.json and tokenizer_config.json."""
    learner = pipeline(BPE(unk_token="<unk>", byte_fallback=True))
    # Merges never cross a blank, as in sentencepiece.
    learner.pre_tokenizer = pre_tokenizers.Split(Regex("▁?[^▁]*"), "isolated")
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=["<unk>", "<s>", "</s>", *byte_tokens],
        initial_alphabet=["▁"],
        limit_alphabet=150,  # rarer characters are bytes
        show_progress=False,
    )
    learner.train_from_iterator(_words(texts), trainer)
    learned = json.loads(learner.to_str())["model"]
    model = BPE(
        learned["vocab"],
        [tuple(pair) for pair in learned["merges"]],
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=True,
    )
    controls = [(name, name not in KEEP_SPACE) for name in NAMES]
    save(with_controls(pipeline(model), controls), folder)


def _words(texts: Iterable[str]) -> Iterator[str]:
    """Texts without control tokens and line ends, which must not become words."""
    for text in texts:
        words = re.sub(r"<[^>]*>", " ", text)
        yield "".join(letter if letter.isprintable() else " " for letter in words)
