"""Training of the demo model's tokenizer, which behaves as the official one does.

A byte-fallback BPE in the manner of Llama: spaces become ``▁``, a ``▁`` is
prepended to every segment, every prompt begins with ``<s>``. The control
tokens have the names and the flags of Phi-3's tokenizer_config.json; their ids
are this vocabulary's own, so look them up by name.

Source of the pipeline: the ``tokenizer.json`` of Phi-3-vision (normalizer,
post-processor, decoder). Merges never cross a space, as in sentencepiece.
"""

from __future__ import annotations

import argparse
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from assistant.phi3v.processing import CHAT_TEMPLATE
from training.demo_model import small_talk
from training.demo_model.dialogues import sample_dialogue
from training.demo_model.pictures import kinds
from training.demo_model.replies import SPELL, SPELT, Facts

VOCABULARY = 1024
PICTURES = 1500
"""Pictures that the dialogues are about."""
BASE = ("<unk>", "<s>", "</s>")
_NAMES = (
    "<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>",
    "<|placeholder4|>", "<|system|>", "<|end|>", "<|placeholder5|>", "<|user|>", "<|image|>",
)  # fmt: skip
_KEEP_SPACE = ("<|endoftext|>", "<|system|>", "<|end|>", "<|user|>")
CONTROLS = tuple((name, name not in _KEEP_SPACE) for name in _NAMES)
"""(name, rstrip) as in the official tokenizer_config.json."""


def corpus(pictures: list[Facts], seed: int = 7, dialogues: int = 12_000) -> Iterator[str]:
    """Sample the texts to train on: the model's own dialogues, about some pictures."""
    rng = Random(seed)
    entries = [
        facts
        for facts in pictures
        if facts["family"] != "page" and len(facts.get("shapes", ())) <= kinds.MOST_SHAPES
    ]
    for _ in range(dialogues):
        seen = [rng.choice(entries) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        for exchange in sample_dialogue(rng, seen, turns=len(seen) + 2).exchanges:
            yield "\n" + exchange.text  # as after <|user|>
            yield re.sub(f"{SPELL}.*?{SPELT}", " ", exchange.reply)
    yield from small_talk.SYSTEM_PROMPTS


def _pipeline(model: models.BPE) -> Tokenizer:
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


def train(texts: Iterator[str], size: int = VOCABULARY) -> Tokenizer:
    """Train a tokenizer of exactly ``size`` tokens, control tokens included."""
    byte_tokens = [f"<0x{value:02X}>" for value in range(256)]
    learner = _pipeline(models.BPE(unk_token=BASE[0], byte_fallback=True))
    learner.pre_tokenizer = pre_tokenizers.Split(Regex("▁?[^▁A-Za-z]|▁?[A-Za-z]*"), "isolated")
    characters = [*string.ascii_letters, *string.digits, *string.punctuation, "▁"]
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(CONTROLS),
        special_tokens=[*BASE, *byte_tokens],
        initial_alphabet=characters,
        limit_alphabet=len(characters),
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned: dict[str, Any] = json.loads(learner.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = _pipeline(
        models.BPE(
            vocab=learned["vocab"],
            merges=merges,
            unk_token=BASE[0],
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    tokenizer.add_special_tokens(
        [AddedToken(name, normalized=False, special=True) for name in BASE[:2]]
    )
    # </s> strips what follows it and is not "special", as in the official file
    tokenizer.add_tokens([AddedToken("</s>", normalized=False, rstrip=True, special=False)])
    tokenizer.add_special_tokens(
        [
            AddedToken(name, normalized=False, rstrip=rstrip, special=True)
            for name, rstrip in CONTROLS
        ]
    )
    bos = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[bos]
    )
    return tokenizer


def tokenizer_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Build ``tokenizer_config.json`` with the official file's keys."""
    added = {
        str(number): {
            key: getattr(token, key)
            for key in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
        }
        for number, token in sorted(tokenizer.get_added_tokens_decoder().items())
    }  # fmt: skip
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": added,
        "bos_token": "<s>",
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|endoftext|>",
        "legacy": False,
        "model_max_length": 8192,
        "pad_token": "<|endoftext|>",
        "padding_side": "right",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
    }


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    text = json.dumps(tokenizer_config(tokenizer), indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Train the tokenizer and write its two files into a run's folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--run", type=Path, required=True)
    args = parser.parse_args()
    rng = Random(1)
    save(train(corpus([kinds.draw(rng)[0].facts for _ in range(PICTURES)])), args.run)


if __name__ == "__main__":
    main()
